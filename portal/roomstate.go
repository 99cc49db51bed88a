package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// maxValue is how many bytes of JSON one event in a list may need, or one member. An
// event has at most 64 KiB when it is sent; a homeserver adds to it, and may escape it.
const maxValue = 1 << 20

var (
	errValueTooLarge = errors.New("an event is too large")
	errNotExpected   = errors.New("the answer has another form than it should have")
)

// stateEvent is a state event, as far as it matters here.
type stateEvent struct {
	Type     string          `json:"type"`
	StateKey string          `json:"state_key"`
	Sender   id.UserID       `json:"sender"`
	Content  json.RawMessage `json:"content"`
}

// readState calls a function with every event of a room's state, one after the other: a
// room may have more state than there is memory. After an error, some were missing.
func readState(ctx context.Context, as *mautrix.Client, roomID id.RoomID, read func(stateEvent)) error {
	return stream(ctx, as, "read the state of a room", mautrix.ClientURLPath{"v3", "rooms", roomID, "state"}, func(d *valueDecoder) error {
		return d.each('[', ']', func() error {
			var e stateEvent
			if err := d.Decode(&e); err != nil {
				return err
			}
			read(e)
			return nil
		})
	})
}

// joinedMembers lists who has joined a room, in the order of their IDs. What the members
// are called, which may be long, is not kept.
func joinedMembers(ctx context.Context, as *mautrix.Client, roomID id.RoomID) (members []id.UserID, err error) {
	err = stream(ctx, as, "list the members of a room", mautrix.ClientURLPath{"v3", "rooms", roomID, "joined_members"}, func(d *valueDecoder) error {
		return d.each('{', '}', func() error {
			field, err := d.Token()
			if err != nil || field != "joined" {
				return errors.Join(err, d.skip())
			}
			return d.each('{', '}', func() error {
				userID, err := d.Token()
				if err == nil {
					members = append(members, id.UserID(userID.(string))) // as keys are
					err = d.skip()
				}
				return err
			})
		})
	})
	slices.Sort(members)
	return members, err
}

// stream gets something that may be large, and has it read while it comes.
func stream(ctx context.Context, as *mautrix.Client, what string, path mautrix.ClientURLPath, read func(*valueDecoder) error) error {
	return try(ctx, what, func(ctx context.Context) error {
		_, err := as.MakeFullRequest(ctx, mautrix.FullRequest{
			Method: http.MethodGet, URL: as.BuildURL(path),
			Handler: func(_ *http.Request, answer *http.Response, _ any, _ int64) ([]byte, error) {
				source := &valueReader{source: answer.Body, left: maxValue}
				return nil, read(&valueDecoder{json.NewDecoder(source), source})
			},
		})
		return err
	})
}

// valueDecoder decodes lists and objects one value at a time.
type valueDecoder struct {
	*json.Decoder
	source *valueReader
}

// each calls a function for each value of a list, or each key of an object. The
// function decodes it. An answer that ends before its end is an error.
func (d *valueDecoder) each(begin, end json.Delim, decode func() error) error {
	if err := d.expect(begin); err != nil {
		return err
	}
	for d.More() {
		if err := decode(); err != nil {
			return err
		}
		d.source.left = maxValue
	}
	return d.expect(end)
}

func (d *valueDecoder) expect(delim json.Delim) error {
	token, err := d.Token()
	if err == nil && token != delim {
		err = errNotExpected
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the answer is not complete: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func (d *valueDecoder) skip() error {
	var value json.RawMessage
	return d.Decode(&value)
}

// valueReader fails where a value needs more bytes than are left for it. What the decoder
// reads ahead of a value counts for the one before it.
type valueReader struct {
	source io.Reader
	left   int
}

// Read implements [io.Reader].
func (r *valueReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, errValueTooLarge
	}
	n, err := r.source.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}
