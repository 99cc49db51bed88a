package provisioning

import (
	"time"
)

// Observer is told what a [Provisioner] does, for metrics. Each function may be nil.
// They are called by many goroutines at once, in the middle of the work: they have to
// return at once and must not panic.
//
// All names that they are told come from fixed lists, whatever clients send: they
// can be labels of metrics. None is, or has in it, a user ID, a room ID or a phone
// number. Fields may be added later.
type Observer struct {
	// Request is told of every request, after its answer.
	Request func(ObservedRequest)
	// Login is told of every login that succeeded, and of every step of a login that
	// failed. A step after which another one has to follow is neither.
	Login func(ObservedLogin)
	// Task is told of every try at background work: setting up rooms, cleaning them
	// up, inviting people, telling of events. Config.TaskFailed has the details of
	// those that failed.
	Task func(ObservedTask)
}

// ObservedRequest is a request that was answered.
type ObservedRequest struct {
	// Operation is one of those of [Operations].
	Operation string
	// Status is the HTTP status.
	Status int
	// Errcode is that of the answer's body, or what the WebSocket of login_qr said in its
	// place, "" for a success.
	Errcode string
	// Duration is the time from the request's header to the end of the answer.
	Duration time.Duration
}

// LoginMethod is a way to log in to Telegram.
type LoginMethod string

// The ways to log in.
const (
	LoginMethodPhone LoginMethod = "phone"
	LoginMethodBot   LoginMethod = "bot"
	LoginMethodQR    LoginMethod = "qr"
)

// ObservedLogin is how a login, or a step of one, has ended.
type ObservedLogin struct {
	// Method is how the user logs in.
	Method LoginMethod
	// Errcode is that of the API's answer, "" for a user who is now logged in.
	Errcode string
}

// ObservedTask is one try at background work.
type ObservedTask struct {
	// Kind is one of those of [TaskKinds], or "other" for work that a newer version
	// has recorded in the same database.
	Kind string
	// Failed says that the work will be tried again; otherwise it is done. Work that
	// Close has interrupted is not told of.
	Failed bool
	// Duration is how long this try took.
	Duration time.Duration
}

// loginMethods are the operations that log in, and how.
var loginMethods = map[string]LoginMethod{
	"post_login_phone":    LoginMethodPhone,
	"post_login_code":     LoginMethodPhone,
	"post_login_password": LoginMethodPhone,
	"resend_login_code":   LoginMethodPhone,
	"post_bot_token":      LoginMethodBot,
	"login_qr":            LoginMethodQR,
}

// Operations returns the names of all operations, as [ObservedRequest] and the log
// have them: the operationIds of the OpenAPI document, and "unauthorized", "preflight"
// (CORS), "unknown_route" and "wrong_verb" for requests that are for none of them.
func Operations() []string {
	names := []string{unauthorized.op, preflight.op, unknownRoute.op, wrongVerb.op}
	for _, rt := range routes {
		names = append(names, rt.op)
	}
	return names
}

// TaskKinds returns the kinds of background work, as [ObservedTask] and the log have
// them.
func TaskKinds() []string { return []string{taskSetUp, taskCleanUp, taskInvite, taskEvent} }

// request tells of a request and, where it was one, of a step of a login.
func (o *Observer) request(c *call, rep reply, errcode string, took time.Duration) {
	if o.Request != nil {
		o.Request(ObservedRequest{Operation: c.rt.op, Status: rep.status, Errcode: errcode, Duration: took})
	}
	method, isLogin := loginMethods[c.rt.op]
	if !isLogin {
		return
	}
	body, _ := rep.body.(loginBody)
	switch {
	case errcode == qrPasswordNeeded: // a step after which another one has to follow
	case errcode != "", c.upgraded, body.State == stateLoggedIn:
		o.login(method, errcode)
	}
}

// login tells of a login that has ended, in an errcode unless it is "".
func (o *Observer) login(method LoginMethod, errcode string) {
	if o.Login != nil {
		o.Login(ObservedLogin{Method: method, Errcode: errcode})
	}
}

// task tells of a try at a task.
func (o *Observer) task(t Task, failed bool, took time.Duration) {
	if o.Task == nil {
		return
	}
	kind := t.Kind
	switch kind {
	case taskSetUp, taskCleanUp, taskInvite, taskEvent:
	default:
		kind = "other"
	}
	o.Task(ObservedTask{Kind: kind, Failed: failed, Duration: took})
}
