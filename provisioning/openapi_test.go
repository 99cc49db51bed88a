package provisioning_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/tgprovision/tgprovision/internal/contracttest"
)

// spec0113 is what the OpenAPI document of mautrix-telegram 0.11.3 promises: the
// operation, the status and, where there are any, the errcodes.
const spec0113 = `
get_bridge 200
get_portal 200
get_portal 400 json_invalid mxid_empty body_value_missing body_value_invalid
get_portal 404 portal_not_found
get_portal_by_tgid 200
get_portal_by_tgid 400 tgid_invalid
get_portal_by_tgid 404 portal_not_found
connect_portal 200
connect_portal 202
connect_portal 400 json_invalid mxid_empty body_value_missing body_value_invalid
connect_portal 403 not_enough_permissions bot_not_in_room bot_not_in_chat not_logged_in
connect_portal 409 room_already_bridged chat_already_bridged
create_portal 201
create_portal 400 json_invalid mxid_empty body_value_missing body_value_invalid
create_portal 403 not_logged_in_real_account not_enough_permissions bot_not_in_room
create_portal 409 room_already_bridged
disconnect_portal 202
disconnect_portal 400 json_invalid mxid_empty body_value_missing body_value_invalid
disconnect_portal 403 not_enough_permissions
disconnect_portal 404 portal_not_found
get_me 200
get_me 400 json_invalid mxid_empty body_value_missing body_value_invalid
get_me 403 mxid_not_whitelisted
get_me 500 unknown_error unhandled_error
get_chats 200
get_chats 400 json_invalid mxid_empty body_value_missing body_value_invalid
get_chats 403 not_logged_in mxid_not_whitelisted
get_chats 500 unknown_error unhandled_error
get_contacts 200
get_contacts 403 not_logged_in mxid_not_whitelisted
get_contacts 500 unknown_error unhandled_error
start_dm 200
start_dm 201
start_dm 403 not_logged_in mxid_not_whitelisted
start_dm 500 unknown_error unhandled_error
post_bot_token 200
post_bot_token 400 json_invalid mxid_empty body_value_missing body_value_invalid
post_bot_token 401 bot_token_invalid bot_token_expired shared_secret_invalid
post_bot_token 403 mxid_not_whitelisted
post_bot_token 409
post_bot_token 500 unknown_error unhandled_error
post_login_phone 200
post_login_phone 400 phone_number_invalid json_invalid
post_login_phone 401 shared_secret_invalid
post_login_phone 403 mxid_not_whitelisted phone_number_banned phone_number_app_signup_forbidden
post_login_phone 404 phone_number_unoccupied
post_login_phone 409
post_login_phone 429 flood_wait phone_number_flood
post_login_phone 500 unknown_error unhandled_error
post_login_code 200
post_login_code 202
post_login_code 400 json_invalid mxid_empty body_value_missing body_value_invalid
post_login_code 401 phone_code_invalid shared_secret_invalid
post_login_code 403 mxid_not_whitelisted phone_code_expired
post_login_code 409
post_login_code 500 unknown_error unhandled_error
post_login_password 200
post_login_password 400 password_empty json_invalid
post_login_password 401 password_invalid shared_secret_invalid
post_login_password 403 mxid_not_whitelisted
post_login_password 409
post_login_password 500 unknown_error unhandled_error
logout 200
logout 403 not_logged_in
logout 500 unknown_error unhandled_error
`

// oldRows returns the rows of spec0113. One without an errcode has "".
func oldRows(t *testing.T) (rows []contracttest.Row) {
	t.Helper()
	for line := range strings.Lines(strings.TrimSpace(spec0113)) {
		fields := strings.Fields(line)
		var status int
		if _, err := fmt.Sscan(fields[1], &status); err != nil {
			t.Fatal(err)
		}
		for _, errcode := range append(fields[2:], "")[:max(1, len(fields)-2)] {
			rows = append(rows, contracttest.Row{Op: fields[0], Status: status, Errcode: errcode})
		}
	}
	return rows
}

// documented returns the operations of the document by their IDs.
func documented() map[string]*openapi3.Operation {
	operations := map[string]*openapi3.Operation{}
	for _, item := range contract.Document.Paths.Map() {
		for _, op := range item.Operations() {
			operations[op.OperationID] = op
		}
	}
	return operations
}

// ofBodies are the errcodes that the old document lists in the one response that all its
// operations share for bad requests, those included that read no body.
var ofBodies = []string{"json_invalid", "body_value_missing", "body_value_invalid"}

// What the old document promises, this one promises as well.
func TestDocumentHasTheOldOne(t *testing.T) {
	ours, operations := contract.Rows(), documented()
	for _, old := range oldRows(t) {
		if slices.Contains(ofBodies, old.Errcode) && operations[old.Op].RequestBody == nil {
			continue
		}
		promised := slices.ContainsFunc(ours, func(row contracttest.Row) bool {
			return row == old || old.Errcode == "" && row.Op == old.Op && row.Status == old.Status
		})
		if !promised {
			t.Errorf("the document lacks %s", old)
		}
	}
}

// What the old document does not have is marked, each errcode with its reason; what it
// has is not.
func TestExtensionsAreMarked(t *testing.T) {
	old := map[contracttest.Row]bool{}
	for _, row := range oldRows(t) {
		old[row] = true
	}
	var added []string
	for name, op := range documented() {
		isNew := !slices.ContainsFunc(oldRows(t), func(row contracttest.Row) bool { return row.Op == name })
		if reason, _ := op.Extensions["x-extension-reason"].(string); (reason != "") != isNew || (op.Extensions["x-extension"] == true) != isNew {
			t.Errorf("%s is new: %t; the reason for an extension: %q", name, isNew, reason)
		}
		for code, response := range op.Responses.Map() {
			errcodes := contracttest.Errcodes(response)
			var status int
			if _, err := fmt.Sscan(code, &status); err != nil {
				t.Fatal(err)
			}
			if errcodes == nil {
				if !old[contracttest.Row{Op: name, Status: status}] && !isNew {
					t.Errorf("%s %s is a success that the old document does not have", name, code)
				}
				continue
			}
			reasons, _ := errcodes.Extensions["x-extension-reason"].(map[string]any)
			extensions := 0
			for _, errcode := range errcodes.Enum {
				row := contracttest.Row{Op: name, Status: status, Errcode: errcode.(string)}
				reason, _ := reasons[row.Errcode].(string)
				if old[row] == (reason != "") {
					t.Errorf("%s: in the old document: %t; the reason for an extension: %q", row, old[row], reason)
				}
				if !old[row] {
					extensions++
					added = append(added, row.String())
				}
			}
			if len(reasons) != extensions || (errcodes.Extensions["x-extension"] == true) != (extensions > 0) {
				t.Errorf("%s %s has %d extensions, and is marked %v, %v", name, code, extensions, errcodes.Extensions["x-extension"], reasons)
			}
		}
	}
	slices.Sort(added)
	t.Logf("%d rows are added to the old document:\n%s", len(added), strings.Join(added, "\n"))
}

// The document has the operations that there are.
func TestDocumentHasEveryRoute(t *testing.T) {
	var ours []string
	for path, item := range contract.Document.Paths.Map() {
		for method, op := range item.Operations() {
			ours = append(ours, op.OperationID+" "+method+" "+strings.TrimSuffix(strings.TrimPrefix(path, "/v1"), "/"))
		}
	}
	var routes []string
	for _, op := range operations() {
		routes = append(routes, op.op+" "+op.method+" "+op.path) // those of the route table, says TestContractHasEveryRoute
	}
	slices.Sort(ours)
	slices.Sort(routes)
	if !slices.Equal(ours, routes) {
		t.Errorf("the document has %q, the API %q", ours, routes)
	}
}
