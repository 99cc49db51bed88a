package matrixtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// service is an appservice: who its users are, and the events that it has yet to be
// told of.
type service struct {
	registration *appservice.Registration
	bot          id.UserID
	namespaces   []*regexp.Regexp
	client       *http.Client

	mu     sync.Mutex
	queue  []*roomEvent
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

func newService(registration *appservice.Registration, serverName string) (*service, error) {
	sv := &service{
		registration: registration, bot: id.NewUserID(registration.SenderLocalpart, serverName),
		client: &http.Client{Transport: &http.Transport{}}, wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	for _, namespace := range registration.Namespaces.UserIDs {
		pattern, err := regexp.Compile("^(?:" + namespace.Regex + ")$")
		if err != nil {
			return nil, fmt.Errorf("the namespace of the appservice %s: %w", registration.ID, err)
		}
		sv.namespaces = append(sv.namespaces, pattern)
	}
	return sv, nil
}

// owns says whether a user is the appservice's.
func (sv *service) owns(userID id.UserID) bool {
	for _, pattern := range sv.namespaces {
		if pattern.MatchString(string(userID)) {
			return true
		}
	}
	return userID == sv.bot
}

// interested says whether the appservice is told of an event.
func (sv *service) interested(r *room, e *roomEvent) bool {
	return r.joined[sv] > 0 || (e.StateKey != nil && sv.owns(id.UserID(*e.StateKey)))
}

func (sv *service) push(e *roomEvent) {
	if sv.registration.URL == "" {
		return
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	sv.queue = append(sv.queue, e)
	select {
	case sv.wake <- struct{}{}:
	default:
	}
}

// start begins to tell the appservice of events, in order, until stop.
func (sv *service) start() {
	ctx, cancel := context.WithCancel(context.Background())
	sv.cancel = cancel
	go func() {
		defer close(sv.done)
		defer sv.client.CloseIdleConnections()
		for transaction := 1; ; transaction++ {
			select {
			case <-sv.wake:
			case <-ctx.Done():
				return
			}
			sv.mu.Lock()
			events := sv.queue
			sv.queue = nil
			sv.mu.Unlock()
			for len(events) > 0 && !sv.tell(ctx, transaction, events) {
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
					return
				}
			}
		}
	}()
}

func (sv *service) stop() {
	sv.cancel()
	<-sv.done
}

// tell sends a transaction, and says whether it was taken.
func (sv *service) tell(ctx context.Context, transaction int, events []*roomEvent) bool {
	status, err := sv.request(ctx, http.MethodPut, fmt.Sprintf("transactions/%d", transaction), map[string]any{"events": events})
	return err == nil && status == http.StatusOK
}

// request asks the appservice for something, and returns the status of its answer.
func (sv *service) request(ctx context.Context, method, path string, content any) (status int, err error) {
	body, err := json.Marshal(content)
	if err != nil {
		return 0, err
	}
	address := strings.TrimSuffix(sv.registration.URL, "/") + "/_matrix/app/v1/" + path
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+sv.registration.ServerToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := sv.client.Do(request)
	if err != nil {
		return 0, err
	}
	response.Body.Close()
	return response.StatusCode, nil
}

// ping has an appservice find out whether the server reaches it
// (https://spec.matrix.org/v1.16/application-service-api/#pinging).
func (s *Server) ping(c *call) (any, *fault) {
	var body struct {
		TransactionID string `json:"transaction_id"`
	}
	if f := c.read(&body); f != nil {
		return nil, f
	}
	switch {
	case c.service == nil || c.service.registration.ID != c.PathValue("id"):
		return nil, &fault{403, "M_FORBIDDEN", "the appservice is another one"}
	case c.service.registration.URL == "":
		return nil, &fault{400, "M_URL_NOT_SET", "the registration has no URL"}
	}
	begin := time.Now()
	status, err := c.service.request(c.Context(), http.MethodPost, "ping", map[string]any{"transaction_id": body.TransactionID})
	switch {
	case err != nil:
		return nil, &fault{502, "M_CONNECTION_FAILED", "the appservice can't be reached"}
	case status != http.StatusOK:
		return nil, &fault{502, "M_BAD_STATUS", fmt.Sprintf("the appservice answered %d", status)}
	}
	return map[string]any{"duration_ms": time.Since(begin).Milliseconds()}, nil
}
