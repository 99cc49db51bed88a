package provisioning

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"
)

// AuditEntry is what came of one request that is made to change something: a step of a login, a
// login link that is made or opened, a logout, a portal that is connected, created or ended, a
// direct chat that is started. It is also what came of one with a wrong secret or token, whatever
// it asked for; but not of those that are refused after too many of them.
//
// It holds no secret, no token, no phone number and no code. The names in JSON are those of
// the access lines.
type AuditEntry struct {
	// Time is when the outcome was known.
	Time time.Time `json:"time"`
	// RequestID is that of the log lines, and of the answer's X-Request-ID.
	RequestID string `json:"request_id"`

	// Auth is how the caller has proven who they are: "secret", "matrix" for an access token,
	// "openid", "login_link" for a login link and for the session that it has opened, and "" for
	// somebody who has not.
	Auth string `json:"auth,omitempty"`
	// SecretName is the name of the shared secret, "" for others.
	SecretName string `json:"secret_name,omitempty"`
	// CallerID is the Matrix user who calls, "" for others.
	CallerID id.UserID `json:"caller_id,omitempty"`

	// Operation is one of those of [Operations]: for a wrong secret, what it was sent for.
	Operation string `json:"op"`
	// UserID is the Matrix user for whom it was asked, "" where nobody is named.
	UserID id.UserID `json:"user_id,omitempty"`
	// RoomID and ChatID are the portal's, as far as they were named, or are known from what was
	// done.
	RoomID id.RoomID `json:"room_id,omitempty"`
	ChatID ChatID    `json:"chat_id,omitempty"`

	// Outcome is "ok", or the errcode of the answer.
	Outcome string `json:"outcome"`
	// Status is the HTTP status: a login that goes on with a password is 202, and a finished
	// one 200, or 101 where it was by QR code.
	Status int `json:"status"`
}

// changes says whether the operation is made to change something.
func (r *route) changes() bool {
	return r.method != "" && (r.method != http.MethodGet || r.beginsLogin())
}

// entryOf returns the entry of a request, and false where it is none for the audit trail.
func (p *pipeline) entryOf(c *call, rep reply, o outcome, err error) (AuditEntry, bool) {
	rt, vars := c.op.rt, &c.vars
	refused := errors.Is(err, errUnauthorized)
	if refused {
		var attempted variables
		rt, attempted, _ = p.find(c.r)
		vars = &attempted
	}
	if !rt.changes() && (!refused || credential(c.r.Header) == "") {
		return AuditEntry{}, false
	}
	e := AuditEntry{
		Time: time.Now(), RequestID: c.reqID[0], Operation: rt.operation, Outcome: cmp.Or(o.errcode, "ok"), Status: rep.status,
		Auth: string(c.op.caller.kind), SecretName: c.op.caller.secretName(), CallerID: c.op.caller.userID,
	}
	// A request may have been refused before all of it was decoded.
	var named operation
	_ = decodePath(&named, vars)
	if segment, about := vars.lookup("user_id"); about {
		named.userID, _ = parseUserID(segment)
	} else if rt.asker != askerIgnored {
		named.userID, _ = query(c.r.URL.RawQuery).userID()
	}
	e.UserID = cmp.Or(c.op.userID, named.userID)
	e.RoomID, e.ChatID = cmp.Or(rep.roomID, named.roomID), cmp.Or(rep.chatID, named.chatID)
	return e, true
}

// auditLate tells the host of an operation that has ended after its request was answered.
func (p *pipeline) auditLate(c *call, rep reply, err error) {
	var o outcome
	if err != nil {
		o = outcomeOf(err, c.op.rt.operation)
		rep.status = o.status
	}
	if e, is := p.entryOf(c, rep, o, err); is {
		p.audit(e)
	}
}

// audit tells the host of an entry.
func (p *pipeline) audit(e AuditEntry) {
	if p.auditor == nil {
		return
	}
	err := recovering(func() error {
		p.auditor(e)
		return nil
	})
	if err != nil {
		p.log.Error().Err(err).Msg("Config.Audit panicked")
	}
}

// addTo adds to a line of the log what access lines do not have of an entry.
func (e *AuditEntry) addTo(line *zerolog.Event, operation string) *zerolog.Event {
	line = line.Bool("audit", true)
	if e.Operation != operation {
		line = line.Str("attempted", e.Operation)
	}
	if e.RoomID != "" {
		line = line.Str("room_id", string(e.RoomID))
	}
	if e.ChatID != 0 {
		line = line.Int64("chat_id", int64(e.ChatID))
	}
	return line
}
