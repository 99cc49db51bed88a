package rpcerror

import (
	"maps"
	"slices"
)

//go:generate go run ./internal/documented documented_gen.go

// Refusal is an error of Telegram's.
type Refusal struct {
	// Code is its code, such as 420.
	Code int
	// Message is its message, such as PHONE_CODE_INVALID. In FLOOD_WAIT_%d and the like, %d
	// stands for a number.
	Message string
}

// Documented returns the errors that Telegram documents for the methods which this module
// calls, by the name of the method, and those of any method by "". Each has a meaning for
// Error. Methods without errors of their own are there too.
func Documented() map[string][]Refusal {
	all := maps.Clone(documented)
	all[""] = slices.Clone(anyMethod)
	return all
}

// anyMethod are the errors of no method in particular: those that
// https://core.telegram.org/api/errors describes, but for the ones that clients follow to
// another datacenter, and those that accounts under restrictions get.
var anyMethod = []Refusal{
	{400, "CONNECTION_API_ID_INVALID"},
	{400, "CONNECTION_APP_VERSION_EMPTY"},
	{400, "CONNECTION_DEVICE_MODEL_EMPTY"},
	{400, "CONNECTION_LANG_PACK_INVALID"},
	{400, "CONNECTION_LAYER_INVALID"},
	{400, "CONNECTION_NOT_INITED"},
	{400, "CONNECTION_SYSTEM_EMPTY"},
	{400, "CONNECTION_SYSTEM_LANG_CODE_EMPTY"},
	{400, "INPUT_CONSTRUCTOR_INVALID"},
	{400, "INPUT_FETCH_ERROR"},
	{400, "INPUT_FETCH_FAIL"},
	{400, "INPUT_LAYER_INVALID"},
	{400, "INPUT_METHOD_INVALID"},
	{400, "INPUT_REQUEST_TOO_LONG"},
	{400, "BOT_METHOD_INVALID"},
	{400, "PEER_FLOOD"},
	{401, "AUTH_KEY_INVALID"},
	{401, "AUTH_KEY_PERM_EMPTY"},
	{401, "AUTH_KEY_UNREGISTERED"},
	{401, "SESSION_EXPIRED"},
	{401, "SESSION_PASSWORD_NEEDED"},
	{401, "SESSION_REVOKED"},
	{401, "USER_DEACTIVATED"},
	{401, "USER_DEACTIVATED_BAN"},
	{403, "PREMIUM_ACCOUNT_REQUIRED"},
	{403, "USER_RESTRICTED"},
	{406, "AUTH_KEY_DUPLICATED"},
	{406, "UPDATE_APP_TO_LOGIN"},
	{420, "FLOOD_PREMIUM_WAIT_%d"},
	{420, "FLOOD_WAIT_%d"},
	{420, "FROZEN_METHOD_INVALID"},
	{500, "INTERDC_%d_CALL_ERROR"},
	{500, "INTERNAL_SERVER_ERROR"},
	{500, "NEED_MEMBER_INVALID"},
	{500, "RPC_CALL_FAIL"},
	{500, "RPC_MCGET_FAIL"},
	{500, "WORKER_BUSY_TOO_LONG_RETRY"},
	{-500, "No workers running"},
	{-503, "Timeout"},
}
