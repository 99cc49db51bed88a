package provisioning

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Outcome is a row of the error table, for tests.
type Outcome struct {
	Err      error
	Ops      []string // nil is any
	Status   int
	Errcode  string
	State    string
	Sentence string
}

func exportOutcome(o outcome) Outcome {
	return Outcome{o.err, o.ops, o.status, o.errcode, string(o.state), o.sentence}
}

// Outcomes returns the error table.
func Outcomes() []Outcome {
	var all []Outcome
	for _, o := range outcomes {
		all = append(all, exportOutcome(o))
	}
	return append(all, exportOutcome(unhandled))
}

// OutcomeOf looks an error up in the error table.
func OutcomeOf(err error, op string) Outcome { return exportOutcome(outcomeOf(err, op)) }

// Routes returns "op method path" of every route.
func Routes() []string {
	var all []string
	for _, rt := range routes {
		all = append(all, rt.operation+" "+rt.method+" "+strings.ReplaceAll(rt.path, "{group_id}", "{chat_id}"))
	}
	return all
}

// Authorise checks the secret of a request.
func (p *Provisioner) Authorise(r *http.Request) error {
	_, err := p.services.gate.authorise(r.Context(), credential(r.Header), func() address { return addressOf(r, p.cfg.ClientAddress) })
	return err
}

// UnderWay returns how many requests, checks of tokens and WebSockets there are, and between how
// many users and addresses the places of requests are shared.
func (p *Provisioner) UnderWay() [4]int {
	var counts [4]int
	g := p.services.gate
	for i, group := range []*requestGroup{&g.requests.group, &g.checking.group, &p.services.qr.sockets} {
		group.mu.Lock()
		counts[i] = group.count
		group.mu.Unlock()
	}
	_, _, counts[3] = g.requests.places.Counts()
	return counts
}

// MaxRequestsOf returns the bounds that a Config means.
func MaxRequestsOf(cfg Config) (requests, perUser, sockets int) {
	requests, perUser = maxRequestsOf(cfg)
	return requests, perUser, maxSockets(requests)
}

// Remembered returns how many addresses are remembered for their wrong secrets.
func (p *Provisioner) Remembered() int { return len(p.services.gate.failures.guesses) }

// RightTokens returns how many tokens are remembered that were right.
func (p *Provisioner) RightTokens() int { return len(p.services.gate.failures.right) }

// The constants of the package, for tests.
const (
	GuessersInAll             = guessersInAll
	MaxBodies                 = maxBodies
	MaxRightTokens            = maxRightTokens
	Overdue                   = overdue
	DefaultTimeout            = defaultTimeout
	DefaultTaskLifetime       = defaultTaskLifetime
	DefaultMaxRequests        = defaultMaxRequests
	DefaultMaxRequestsPerUser = defaultMaxRequestsPerUser
	DefaultFailureLimit       = defaultFailureLimit
)

// LoginOperations returns the operations of which Observer.Login is told.
func LoginOperations() []string { return slices.Collect(maps.Keys(loginMethods)) }

// KeptBodies returns how many bodies of lists are kept, and how many bytes they have.
func (p *Provisioner) KeptBodies() (n, bytes int) {
	l := p.services.lists
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.bodies), l.bytes
}
