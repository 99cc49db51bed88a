package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tgprovision/tgprovision/provisioning/client"
)

func chatTitles(ctx context.Context, server, secret, userID string) ([]string, error) {
	api, err := client.New(server, secret) // such as https://bridge.example.com/_matrix/provision
	if err != nil {
		return nil, err
	}
	chats, err := client.Do(api.GetChatsWithResponse(ctx, userID, nil))
	if fault, ok := errors.AsType[*client.Error](err); ok && fault.Errcode == "not_logged_in" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var titles []string
	for _, chat := range *chats.JSON200 {
		titles = append(titles, chat.Title)
	}
	return titles, nil
}

// The page for authors of clients quotes chatTitles as it stands here.
func TestDocsQuoteTheExample(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/api-clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "\nfunc chatTitles")
	code, _, found := strings.Cut("func chatTitles"+code, "\n}\n")
	if !found || !strings.Contains(string(page), "```go\n"+code+"\n}\n```") {
		t.Error("docs/api-clients.md does not quote chatTitles")
	}
}

func TestExample(t *testing.T) {
	server := serve(t)
	titles, err := chatTitles(t.Context(), server, secret, "@alice:example.com")
	if err != nil || titles != nil {
		t.Errorf("before the login: %q, %v", titles, err)
	}
	logIn(t, newClient(t, server, secret), "@alice:example.com")
	if titles, err = chatTitles(t.Context(), server, secret, "@alice:example.com"); err != nil || fmt.Sprint(titles) != "[Family]" {
		t.Errorf("after the login: %q, %v", titles, err)
	}
}
