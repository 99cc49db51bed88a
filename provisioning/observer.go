package provisioning

import (
	"time"

	"github.com/rs/zerolog"
)

// Observer is told what a [Provisioner] does, for metrics. Each function may be nil.
// They are called by many goroutines at once, in the middle of the work: they have to
// return at once. A panic is recovered and logged.
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
	// up, inviting people, telling of events. The log has the details of those that
	// failed, and [Provisioner.Tasks] those that are to be done.
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
	// Secret is the name of the shared secret that the request came with, "" for none.
	Secret string
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
	// Kind is one of those of [TaskKinds].
	Kind string
	// Failed says that the work is not done. It will be tried again, unless GivenUp says
	// that it has failed for [Config.TaskLifetime]. Work that Close has interrupted is not
	// told of.
	Failed  bool
	GivenUp bool
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
	names := []string{unauthorized.operation, preflight.operation, unknownRoute.operation, wrongVerb.operation}
	for _, rt := range routes {
		names = append(names, rt.operation)
	}
	return names
}

// observers calls the functions of an Observer. One that panics ends nothing but itself.
type observers struct {
	Observer
	log zerolog.Logger
}

// call calls a function of the host's.
func (o *observers) call(f func()) {
	err := recovering(func() error {
		f()
		return nil
	})
	if err != nil {
		o.log.Error().Err(err).Msg("A function of the Observer panicked")
	}
}

// request tells of a request.
func (o *observers) request(request ObservedRequest) {
	if o.Request != nil {
		o.call(func() { o.Request(request) })
	}
}

// login tells of a login that has ended, in an errcode unless it is "".
func (o *observers) login(method LoginMethod, errcode string) {
	if o.Login != nil {
		o.call(func() { o.Login(ObservedLogin{Method: method, Errcode: errcode}) })
	}
}

// taskResult is what came of a try at a task.
type taskResult int

const (
	taskDone taskResult = iota
	taskFailed
	taskGivenUp
)

// task tells of a try at a task.
func (o *observers) task(kind string, result taskResult, took time.Duration) {
	if o.Task != nil {
		o.call(func() {
			o.Task(ObservedTask{Kind: kind, Failed: result != taskDone, GivenUp: result == taskGivenUp, Duration: took})
		})
	}
}
