package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// WithRetries makes a client wait where the bridge asks for a pause, with 429 or 503 and
// Retry-After, and make the request again, as long as a call waits at most so long in all. Where it
// would wait longer, or past the deadline of the context, the call returns the error at once,
// whose RetryAfter are the seconds to wait. When the context ends meanwhile, the call returns
// its cause.
//
// POSTs are made again too. That does nothing twice: by these answers the API refuses a
// request of which it has done nothing, since a bound or a limit is reached, the bridge is
// starting, or Telegram refuses; a basic group that was made by then it deletes. Of a proxy's
// answers that can't be known, nor of an error of the network: none is followed by another
// request.
func WithRetries(most time.Duration) ClientOption {
	return func(c *Client) error {
		doer := c.Client
		if r, is := doer.(*retrying); is {
			doer = r.doer
		}
		if doer == nil {
			doer = &http.Client{}
		}
		c.Client = &retrying{doer, most}
		return nil
	}
}

// retrying makes a request again after the pause that the API asks for.
type retrying struct {
	doer HttpRequestDoer
	most time.Duration // how long a call waits in all
}

// Do implements HttpRequestDoer.
func (r *retrying) Do(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	left := r.most
	for {
		answer, err := r.doer.Do(request)
		if err != nil {
			return nil, err
		}
		pause, err := pauseOf(answer)
		if err != nil {
			return nil, err
		}
		deadline, has := ctx.Deadline()
		if pause <= 0 || pause > left || has && time.Until(deadline) < pause {
			return answer, nil
		}
		again, err := repeated(request)
		if err != nil {
			return nil, err
		}
		if again == nil {
			return answer, nil
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
		left -= pause
		request = again
	}
}

// pauseOf returns how long the API asks to wait before the request is made again, zero where it
// does not. It reads the body of such an answer, which can be read again. Errors: those of
// the network.
func pauseOf(answer *http.Response) (time.Duration, error) {
	if answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable {
		return 0, nil
	}
	seconds, err := strconv.ParseInt(answer.Header.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0, nil // none, or not the API's
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // everything was read
	if err != nil {
		return 0, fmt.Errorf("read HTTP %d: %w", answer.StatusCode, err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var fault Error
	if json.Unmarshal(body, &fault) != nil || fault.Errcode == "" {
		return 0, nil
	}
	return time.Duration(seconds) * time.Second, nil
}

// repeated returns a request to make once more, nil where its body can't be sent again. Errors:
// those of its GetBody.
func repeated(request *http.Request) (*http.Request, error) {
	again := request.Clone(request.Context())
	if request.Body == nil || request.Body == http.NoBody {
		return again, nil
	}
	if request.GetBody == nil {
		return nil, nil
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, fmt.Errorf("send the body again: %w", err)
	}
	again.Body = body
	return again, nil
}

// wait waits. Errors: the cause of the context.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
