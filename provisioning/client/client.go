// Package client calls the provisioning API of a bridge. Most of it is generated from the
// API's OpenAPI document, to be called through [Do]:
//
//	api, err := client.New("https://bridge.example.com/_matrix/provision", secret)
//	…
//	me, err := client.Do(api.GetMeWithResponse(ctx, "@alice:example.com"))
//	…
//	fmt.Println(me.JSON200.Permissions)
//
// # Logins
//
// The methods whose names begin with Login log a Matrix user in to Telegram, a step each.
// Whatever the status of the answer, a step that has succeeded returns how far the login is:
// State says what comes next, and is [LoginStateLoggedIn] at the end. Message, Code and
// PasswordHint are what to tell the user, where they are set; Since is for
// [ClientWithResponses.LoginProgress].
//
// A step that has not succeeded returns an [*Error], whose State, where there is one, says
// the step to go on from. That of a user who is logged in already, 409 already_logged_in, is
// an error as well: the step has done nothing, and the account may be another one than was
// meant. Other errors are those of the network, of the context, and
// of answers that are not the API's.
//
// # Pauses
//
// [WithRetries] makes a client wait where the bridge asks for a pause.
//
// A client may be used concurrently.
package client

//go:generate go tool -modfile=../../.ci/go.mod oapi-codegen -config oapi-codegen.yaml ../openapi.yaml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// New returns a client of the API that is mounted at an address, which ends before
// /v1; one that ends in it is an error. The order of the options does not matter, but for
// two of a kind, of which the last counts.
func New(server, secret string, options ...ClientOption) (*ClientWithResponses, error) {
	if strings.HasSuffix(strings.TrimRight(server, "/"), "/v1") {
		return nil, errors.New("the API's address ends in /v1, which the client adds itself: leave it out")
	}
	authorise := WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+secret)
		return nil
	})
	return NewClientWithResponses(server, authorise, func(c *Client) error {
		var retries *retrying
		for _, option := range options {
			if err := option(c); err != nil {
				return err
			}
			if r, is := c.Client.(*retrying); is {
				retries = r
			}
		}
		if retries == nil || c.Client == retries {
			return nil
		}
		return WithRetries(retries.most)(c) // WithHTTPClient came after it
	})
}

// Error implements error.
func (e *Error) Error() string { return e.Errcode + ": " + e.Message }

// Do makes an [*Error] of an answer that is one, so that a call has one error to look
// at. An answer that is not the API's, but a proxy's perhaps, is an error as well.
func Do[R Answer](answer R, err error) (R, error) {
	if err != nil {
		return answer, err
	}
	if fault := answer.GetJSONDefault(); fault != nil && fault.Errcode != "" {
		return answer, fault
	}
	if status := answer.StatusCode(); status >= http.StatusMultipleChoices || !strings.Contains(answer.ContentType(), "json") {
		return answer, notOurs(status)
	}
	return answer, nil
}

// Answer is what the methods whose names end in WithResponse return.
type Answer interface {
	GetBody() []byte
	GetJSONDefault() *Error
	StatusCode() int
	ContentType() string
}

// notOurs is the error for an answer that the API does not give.
func notOurs(status int) error {
	return fmt.Errorf("HTTP %d, not by the provisioning API", status)
}
