package bridgev2host

import (
	"sync"
	"time"

	"maunium.net/go/mautrix/bridgev2"

	"github.com/tgprovision/tgprovision/provisioning"
)

// accountAge is how old the account may be that GET operations show, as in package
// telegram.
const accountAge = 10 * time.Second

// accountMemory remembers the accounts of logins, for GET operations.
type accountMemory struct {
	accounts sync.Map // of *rememberedAccount by *bridgev2.UserLogin
}

type rememberedAccount struct {
	provisioning.Account
	at time.Time
}

func (m *accountMemory) get(login *bridgev2.UserLogin) (provisioning.Account, bool) {
	value, ok := m.accounts.Load(login)
	if !ok {
		return provisioning.Account{}, false
	}
	remembered := value.(*rememberedAccount)
	return remembered.Account, time.Since(remembered.at) < accountAge
}

func (m *accountMemory) put(login *bridgev2.UserLogin, account provisioning.Account) {
	m.accounts.Store(login, &rememberedAccount{account, time.Now()})
}

func (m *accountMemory) forget(login *bridgev2.UserLogin) { m.accounts.Delete(login) }
