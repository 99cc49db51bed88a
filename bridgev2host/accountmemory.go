package bridgev2host

import (
	"sync"
	"time"

	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
)

// accountAge is how old the account may be that GET operations show, as in package
// telegram.
const accountAge = 10 * time.Second

// accountMemory remembers the accounts of logins, for GET operations.
type accountMemory struct {
	mu       sync.Mutex
	accounts map[networkid.UserLoginID]rememberedAccount
}

type rememberedAccount struct {
	provisioning.Account
	login *bridgev2.UserLogin // another login with the same ID is not this one
	at    time.Time
}

// get returns the account of a login, if it is remembered and not too old.
func (m *accountMemory) get(login *bridgev2.UserLogin) (provisioning.Account, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	remembered := m.accounts[login.ID]
	return remembered.Account, remembered.login == login && time.Since(remembered.at) < accountAge
}

func (m *accountMemory) put(login *bridgev2.UserLogin, account provisioning.Account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.accounts == nil {
		m.accounts = map[networkid.UserLoginID]rememberedAccount{}
	}
	m.accounts[login.ID] = rememberedAccount{account, login, time.Now()}
}

func (m *accountMemory) forget(login *bridgev2.UserLogin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accounts, login.ID)
}
