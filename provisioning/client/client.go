// Package client calls the provisioning API of a bridge. It is generated from the API's
// OpenAPI document, but for [New] and [Do]:
//
//	api, err := client.New("https://bridge.example.com/_matrix/provision", secret)
//	…
//	me, err := client.Do(api.GetMeWithResponse(ctx, "@alice:example.com"))
//	…
//	fmt.Println(me.JSON200.Permissions)
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
// /v1; one that ends in it is an error.
func New(server, secret string, options ...ClientOption) (*ClientWithResponses, error) {
	if strings.HasSuffix(strings.TrimRight(server, "/"), "/v1") {
		return nil, errors.New("the API's address ends in /v1, which the client adds itself: leave it out")
	}
	authorise := WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+secret)
		return nil
	})
	return NewClientWithResponses(server, append([]ClientOption{authorise}, options...)...)
}

// Error implements error.
func (e *Error) Error() string { return e.Errcode + ": " + e.Message }

// Do makes an [*Error] of an answer that is one, so that a call has one error to look
// at. An answer that is not the API's, but a proxy's perhaps, is an error as well.
func Do[R interface {
	GetJSONDefault() *Error
	StatusCode() int
}](answer R, err error) (R, error) {
	if err != nil {
		return answer, err
	}
	if fault := answer.GetJSONDefault(); fault != nil && fault.Errcode != "" {
		return answer, fault
	}
	if status := answer.StatusCode(); status >= http.StatusMultipleChoices {
		return answer, fmt.Errorf("HTTP %d, not by the provisioning API", status)
	}
	return answer, nil
}
