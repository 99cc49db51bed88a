package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/provisioning"
)

// forget forgets a Matrix user, prints what was removed, and closes the host, which empties
// the rooms of the user's direct chats first.
func (h *host) forget(ctx context.Context, userID id.UserID, stdout io.Writer) error {
	done, err := h.provisioner.ForgetUser(ctx, userID)
	_, printErr := io.WriteString(stdout, describeForgotten(userID, done))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(err, printErr, h.close(ctx))
}

// describeForgotten says what was removed.
func describeForgotten(userID id.UserID, done provisioning.Forgotten) string {
	session := "none"
	switch {
	case done.Pending:
		session = "deleted here; Telegram is asked to end it until it has"
	case done.LoggedOut:
		session = "ended"
	}
	halfDone := "none"
	if done.LoginCancelled {
		halfDone = "cancelled"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Removed of %s:\n", userID)
	fmt.Fprintf(&text, "  Telegram session   %s\n", session)
	fmt.Fprintf(&text, "  half-done login    %s\n", halfDone)
	fmt.Fprintf(&text, "  linked accounts    %d\n", len(done.Accounts))
	fmt.Fprintf(&text, "  direct chats       %d\n", len(done.Portals))
	for _, portal := range done.Portals {
		fmt.Fprintf(&text, "    room %s\n", portal.RoomID)
	}
	fmt.Fprintf(&text, "  places in groups   %d\n", done.Groups)
	fmt.Fprintf(&text, "  people known here  %d\n", done.Ghosts)
	fmt.Fprintf(&text, "  background work    %d\n", done.Tasks)
	if done.Moved > 0 {
		fmt.Fprintf(&text, "Kept for whoever is logged in with the account now: %d portals\n", done.Moved)
	}
	return text.String()
}
