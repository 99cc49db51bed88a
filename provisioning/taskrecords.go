package provisioning

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// The kinds of tasks. They stand in databases, with their records: what an older version
// has recorded has to be understood. testdata/tasks has a file of each version.
const (
	taskSetUp   = "set_up"
	taskCleanUp = "clean_up"
	taskInvite  = "invite"
	taskEvent   = "event"

	taskUndoCreate = "undo_create"
)

// TaskKinds returns the kinds of background work, as [Task], [ObservedTask] and the log
// have them.
func TaskKinds() []string {
	return []string{taskEvent, taskSetUp, taskCleanUp, taskInvite, taskUndoCreate}
}

// recordVersion is the version of the records that are written. Version 0, of before they
// had one, has the same fields, and the contact's phone number besides.
const recordVersion = 1

// version is part of each record.
type version struct {
	Version int `json:"v"`
}

func (v version) recordedAs() int { return v.Version }
func (v *version) setVersion()    { v.Version = recordVersion }

// portalRecord is a Portal.
type portalRecord struct {
	RoomID    id.RoomID  `json:"room_id"`
	ChatID    ChatID     `json:"chat_id"`
	Receiver  TelegramID `json:"receiver,omitempty"`
	Title     string     `json:"title"`
	About     string     `json:"about,omitempty"`
	Username  string     `json:"username,omitempty"`
	Megagroup bool       `json:"megagroup,omitempty"`

	MigratedFrom ChatID `json:"migrated_from,omitempty"`
}

// contactRecord is the other side of a direct chat. Its names are those of version 0.
type contactRecord struct {
	ID       TelegramID `json:"ID"`
	Name     string     `json:"Name"`
	Username string     `json:"Username"`
	IsBot    bool       `json:"IsBot"`
	PhotoID  int64      `json:"PhotoID"`
}

func (r contactRecord) contact() Contact {
	return Contact{ID: r.ID, Name: r.Name, Username: r.Username, IsBot: r.IsBot, PhotoID: r.PhotoID}
}

func newContactRecord(c Contact) *contactRecord {
	return &contactRecord{ID: c.ID, Name: c.Name, Username: c.Username, IsBot: c.IsBot, PhotoID: c.PhotoID}
}

// setUpRecord is what a room needs that has become a portal.
type setUpRecord struct {
	version
	Portal portalRecord `json:"portal"`
	// UserID is who asked for it, Relay says that the relay bot acts for them.
	UserID  id.UserID `json:"user_id,omitempty"`
	Relay   bool      `json:"relay,omitempty"`
	PhotoID int64     `json:"photo_id,omitempty"`
	// Contact is the other side of a direct chat.
	Contact *contactRecord `json:"contact,omitempty"`
}

// cleanUpRecord is a room that is a portal no more.
type cleanUpRecord struct {
	version
	Portal    portalRecord `json:"portal"`
	Everybody bool         `json:"everybody,omitempty"`
}

// inviteRecord is who is to be invited to a chat that was created.
type inviteRecord struct {
	version
	UserID  id.UserID    `json:"user_id"`
	ChatID  ChatID       `json:"chat_id"`
	Members []TelegramID `json:"members"`
}

// undoCreateRecord is a chat that is being created, and is to be deleted unless it becomes
// the portal of a room.
type undoCreateRecord struct {
	version
	UserID id.UserID `json:"user_id"`
	// TelegramID is the account that creates it.
	TelegramID TelegramID   `json:"telegram_id"`
	RoomID     id.RoomID    `json:"room_id"`
	Type       ChatType     `json:"type"`
	Title      string       `json:"title"`
	Members    []TelegramID `json:"members,omitempty"`
	// Since is when it was recorded, by the clock of the machine, in seconds since 1970.
	Since int64 `json:"since"`
}

// eventRecord is an Event, whose ID is that of its task.
type eventRecord struct {
	version
	Type       EventType    `json:"type"`
	UserID     id.UserID    `json:"user_id,omitempty"`
	TelegramID TelegramID   `json:"telegram_id,omitempty"`
	Portal     portalRecord `json:"portal,omitzero"`
	Former     portalRecord `json:"former,omitzero"`
	TaskKind   string       `json:"task_kind,omitempty"`
}

func newEventRecord(e Event) *eventRecord {
	return &eventRecord{Type: e.Type, UserID: e.UserID, TelegramID: e.TelegramID, Portal: portalRecord(e.Portal), Former: portalRecord(e.Former), TaskKind: e.TaskKind}
}

func (r eventRecord) event(t Task) Event {
	return Event{ID: t.ID, Type: r.Type, UserID: r.UserID, TelegramID: r.TelegramID, Portal: Portal(r.Portal), Former: Portal(r.Former), TaskKind: r.TaskKind}
}

// newTask returns a task that is due at once.
func newTask(kind string, record interface{ setVersion() }) NewTask {
	record.setVersion()
	text, err := json.Marshal(record)
	if err != nil {
		panic("provisioning: task can't be encoded: " + err.Error()) // structs of strings and numbers, all defined here
	}
	return NewTask{ID: rand.Text(), Kind: kind, Data: string(text)}
}

// errLaterRecord: a task was recorded by a later version of the library.
var errLaterRecord = errors.New("the task was recorded by a later version of tgprovision")

// withRecord decodes the record of a task and runs it. A record of a later version is an
// error: a process of that version, on the same database, will do the task.
func withRecord[R interface{ recordedAs() int }](ctx context.Context, t Task, run func(context.Context, R) error) error {
	var record R
	if err := json.Unmarshal([]byte(t.Data), &record); err != nil {
		return fmt.Errorf("read the record of a task: %w", err)
	}
	if v := record.recordedAs(); v > recordVersion {
		return fmt.Errorf("%w, as version %d", errLaterRecord, v)
	}
	return run(ctx, record)
}

// subjectRecord is what the records of all kinds have of whom and what they are about.
type subjectRecord struct {
	Portal portalRecord `json:"portal"`
	UserID id.UserID    `json:"user_id"`
	RoomID id.RoomID    `json:"room_id"`
	ChatID ChatID       `json:"chat_id"`
}

// subjectOf returns the portal that a task is about, as far as its record says, and the
// user.
func subjectOf(t Task) (Portal, id.UserID) {
	var record subjectRecord
	_ = json.Unmarshal([]byte(t.Data), &record) // what can't be read is about nobody
	portal := Portal(record.Portal)
	if record.ChatID != 0 {
		portal.ChatID = record.ChatID
	}
	if record.RoomID != "" {
		portal.RoomID = record.RoomID
	}
	return portal, record.UserID
}
