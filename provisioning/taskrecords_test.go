package provisioning

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var (
	recordedPortal = Portal{
		RoomID: "!room:example.com", ChatID: ChannelChatID(9), Title: "News", About: "All of it", Username: "news", Megagroup: true,
	}
	recordedMove = Portal{
		RoomID: "!upgraded:example.com", ChatID: ChannelChatID(9), Title: "News", Megagroup: true, MigratedFrom: BasicGroupChatID(8),
	}
	recordedDirect  = Portal{RoomID: "!direct:example.com", ChatID: UserChatID(1002), Receiver: 1001, Title: "Bob", Username: "bob_tg"}
	recordedContact = Contact{ID: 1002, Name: "Bob", Username: "bob_tg", IsBot: true, PhotoID: 77}
)

// recordCase is a record as today's code has it. testdata/tasks/<name>.v<n>.json is what
// version n of the records writes for it.
type recordCase struct {
	name   string
	kind   string
	record interface{ setVersion() }
	// read decodes a task of the kind.
	read func(context.Context, Task) (any, error)
}

// reads returns a function that decodes a task's record as the handlers do.
func reads[R interface{ recordedAs() int }](ctx context.Context, t Task) (got any, err error) {
	err = withRecord(ctx, t, func(_ context.Context, record R) error {
		got = record
		return nil
	})
	return got, err
}

func recordCases() []recordCase {
	return []recordCase{
		{"set_up", taskSetUp, &setUpRecord{Portal: portalRecord(recordedPortal), UserID: "@alice:example.com", Relay: true, PhotoID: 7}, reads[setUpRecord]},
		{
			"set_up_direct", taskSetUp,
			&setUpRecord{Portal: portalRecord(recordedDirect), UserID: "@alice:example.com", Contact: newContactRecord(recordedContact)}, reads[setUpRecord],
		},
		{"clean_up", taskCleanUp, &cleanUpRecord{Portal: portalRecord(recordedPortal), Everybody: true}, reads[cleanUpRecord]},
		{"invite", taskInvite, &inviteRecord{UserID: "@alice:example.com", ChatID: ChannelChatID(9), Members: []TelegramID{1002, 2001}}, reads[inviteRecord]},
		{
			"undo_create", taskUndoCreate,
			&undoCreateRecord{
				UserID: "@alice:example.com", TelegramID: 1001, RoomID: "!room:example.com", Type: ChatTypeSupergroup, Title: "News",
				Members: []TelegramID{1002, 2001}, Since: 1_767_225_600,
			}, reads[undoCreateRecord],
		},
		{"event_login", taskEvent, newEventRecord(Event{Type: EventLogin, UserID: "@alice:example.com", TelegramID: 1001}), reads[eventRecord]},
		{
			"event_portal", taskEvent,
			newEventRecord(Event{Type: EventPortalConnected, UserID: "@alice:example.com", TelegramID: 1001, Portal: recordedPortal}), reads[eventRecord],
		},
		{
			"event_moved", taskEvent,
			newEventRecord(Event{Type: EventPortalMoved, UserID: "@alice:example.com", TelegramID: 1001, Portal: recordedMove, Former: recordedPortal}), reads[eventRecord],
		},
		{
			"event_given_up", taskEvent,
			newEventRecord(Event{Type: EventTaskGivenUp, UserID: "@alice:example.com", Portal: recordedPortal, TaskKind: taskSetUp}), reads[eventRecord],
		},
	}
}

// What each version has recorded is understood, and today's is what the newest file says.
func TestTaskRecords(t *testing.T) {
	for _, c := range recordCases() {
		files, err := filepath.Glob(filepath.Join("testdata", "tasks", c.name+".v*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", c.name, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.read(t.Context(), Task{Kind: c.kind, Data: string(data)})
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			want := reflect.ValueOf(c.record).Elem()
			same := reflect.New(want.Type()).Elem()
			same.Set(reflect.ValueOf(got))
			same.FieldByName("Version").SetInt(want.FieldByName("Version").Int())
			if !reflect.DeepEqual(same.Interface(), want.Interface()) {
				t.Errorf("%s: got %+v, want %+v", file, same, want)
			}
		}
		newest, err := os.ReadFile(filepath.Join("testdata", "tasks", c.name+".v1.json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := newTask(c.kind, c.record); got.Data != strings.TrimSpace(string(newest)) || got.Kind != c.kind || got.ID == "" {
			t.Errorf("%s: recorded %s %s, want %s", c.name, got.Kind, got.Data, newest)
		}
	}
}

// Every kind has a file, and no record holds a phone number.
func TestTaskRecordsOfEveryKind(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range recordCases() {
		seen[c.kind] = true
	}
	for _, kind := range TaskKinds() {
		if !seen[kind] {
			t.Errorf("no record of the kind %s is tested", kind)
		}
	}
	contact := recordedContact
	contact.Phone = "15550101"
	if data := newTask(taskSetUp, &setUpRecord{Contact: newContactRecord(contact)}).Data; strings.Contains(data, contact.Phone) {
		t.Errorf("a phone number is recorded: %s", data)
	}
}

// A record of a later version is left to a process that knows it.
func TestLaterTaskRecords(t *testing.T) {
	for _, c := range recordCases() {
		data, err := json.Marshal(map[string]any{"v": recordVersion + 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.read(t.Context(), Task{Kind: c.kind, Data: string(data)}); err == nil || !strings.Contains(err.Error(), "later version") {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

// A task tells what it is about.
func TestSubjectOfTasks(t *testing.T) {
	for _, c := range recordCases() {
		portal, userID := subjectOf(Task{Data: newTask(c.kind, c.record).Data})
		wantUser := c.kind != taskCleanUp
		wantChat := c.name != "event_login" && c.kind != taskUndoCreate
		if (userID == "@alice:example.com") != wantUser || (portal.ChatID != 0) != wantChat {
			t.Errorf("%s: about %v and %q", c.name, portal, userID)
		}
	}
	if portal, _ := subjectOf(Task{Data: newTask(taskUndoCreate, &undoCreateRecord{RoomID: "!room:example.com"}).Data}); portal.RoomID != "!room:example.com" {
		t.Errorf("the task of a room that gets a chat is about %v", portal)
	}
	if portal, userID := subjectOf(Task{Data: "{"}); portal != (Portal{}) || userID != "" {
		t.Errorf("about %v and %q", portal, userID)
	}
}
