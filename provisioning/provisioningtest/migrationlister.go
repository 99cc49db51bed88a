package provisioningtest

import (
	"context"
	"maps"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning"
)

// TestMigrationLister is [TestChatGetter] for provisioning.MigrationLister.
func TestMigrationLister[B GroupBackend](t *testing.T, backend func(t *testing.T) B) {
	runSuite(t, migrationListerChecks, func(t *testing.T) GroupBackend { return backend(t) })
}

var migrationListerChecks = append([]suiteCheck[GroupBackend]{
	{"migrated groups", "Migrations returns the supergroups that basic groups have become, by the IDs of the groups.", checkMigrations},
	{"groups that stay", "Those that are basic groups still, and those that the account has never been in, are not among them.", checkNoMigrations},
}, usageChecks(clientCalls[GroupBackend]{
	func(b GroupBackend) {
		b.Add(plainAccount)
		b.AddGroup(groupsOf(plainAccount.ID)[0])
	},
	[]clientCall[GroupBackend]{{"Migrations", logInFirst[GroupBackend], func(ctx context.Context, _ GroupBackend, c provisioning.TelegramClient) error {
		_, err := c.(provisioning.MigrationLister).Migrations(ctx, []provisioning.ChatID{groupsOf()[0].ID})
		return err
	}, nil}},
})...)

// migrationLister is a client with MigrationLister.
type migrationLister interface {
	provisioning.TelegramClient
	provisioning.MigrationLister
}

// supergroupOf returns a supergroup that a basic group has become.
func supergroupOf(groupID int64, members ...provisioning.TelegramID) TelegramGroup {
	return TelegramGroup{Members: members, ChatInfo: provisioning.ChatInfo{
		ID: provisioning.ChannelChatID(groupID + 100), Title: "News after", Megagroup: true, MigratedFrom: provisioning.BasicGroupChatID(groupID),
	}}
}

// wantMigrations calls Migrations, which has to return exactly these.
func wantMigrations(t T, c provisioning.MigrationLister, groups []provisioning.ChatID, want map[provisioning.ChatID]provisioning.ChatID) {
	t.Helper()
	got, err := c.Migrations(t.Context(), groups)
	if err != nil {
		t.Fatalf("Migrations(%d): %v", groups, err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("Migrations(%d) returned %d, want %d", groups, got, want)
	}
}

func checkMigrations(t T, b GroupBackend) {
	c := logInWithBob[migrationLister](t, b)
	stays, one, two := groupsOf(plainAccount.ID, bob.ID)[0], supergroupOf(10, plainAccount.ID, bob.ID), supergroupOf(11, bob.ID, plainAccount.ID)
	for _, group := range []TelegramGroup{stays, one, two} {
		b.AddGroup(group)
	}
	wantMigrations(t, c, []provisioning.ChatID{one.MigratedFrom, stays.ID, two.MigratedFrom}, map[provisioning.ChatID]provisioning.ChatID{
		one.MigratedFrom: one.ID, two.MigratedFrom: two.ID,
	})
	wantMigrations(t, c, []provisioning.ChatID{two.MigratedFrom}, map[provisioning.ChatID]provisioning.ChatID{two.MigratedFrom: two.ID})
}

func checkNoMigrations(t T, b GroupBackend) {
	c := logInWithBob[migrationLister](t, b)
	stays, moved := groupsOf(plainAccount.ID, bob.ID)[0], supergroupOf(10, plainAccount.ID, bob.ID)
	b.AddGroup(stays)
	b.AddGroup(moved)
	wantMigrations(t, c, nil, nil)
	wantMigrations(t, c, []provisioning.ChatID{stays.ID}, nil)
	unknown := provisioning.BasicGroupChatID(404)
	wantMigrations(t, c, []provisioning.ChatID{unknown}, nil)
	wantMigrations(t, c, []provisioning.ChatID{unknown, moved.MigratedFrom, provisioning.ChannelChatID(7)}, map[provisioning.ChatID]provisioning.ChatID{
		moved.MigratedFrom: moved.ID,
	})
}
