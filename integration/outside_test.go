package integration

import (
	"bufio"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gotd/td/crypto"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/tgprovision/tgprovision/portal/matrixtest"
	"github.com/tgprovision/tgprovision/telegram"
	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

// outsideVariable makes the test binary be the servers that a bridge talks to, in a
// process of their own: what they take of memory and goroutines is not the bridge's.
const outsideVariable = "INTEGRATION_OUTSIDE"

// outsideConfig is what the servers know. It is the first line that they read.
type outsideConfig struct {
	Accounts     int    // that have few chats
	Busy         int    // accounts, after the others, that have many
	Dialogs      int    // which is how many
	Contacts     int    // which those have too, 0 for a few
	FullProof    bool   // that key exchanges cost what they cost with Telegram
	LoggedIn     bool   // that there is an auth key for each account, authKeyOf it
	Registration string // of the bridge; a file, or "" for no homeserver
	Users        int    // on the homeserver
}

// outsideReady is the line that they write when they can be used.
type outsideReady struct {
	Telegram, Key string
	Homeserver    string
	Tokens        []string // of the users
}

// outside is those servers, as the bridge's process sees them.
type outside struct {
	outsideReady
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// ownDialogs is how many chats an account has that nobody else has, so that each can
// connect some of its own.
const ownDialogs = 5

// accountOf returns an account of the servers by its number.
func accountOf(number int) telegramtest.Account {
	account := telegramtest.Account{
		ID: 3_000_000 + int64(number), Phone: fmt.Sprintf("99966%05d", number), FirstName: "Somebody", Username: fmt.Sprintf("somebody_%d", number),
		Contacts: []int64{3_000_000, 3_000_001},
	}
	for i := range int64(ownDialogs) {
		account.Dialogs = append(account.Dialogs, telegramtest.Dialog{Kind: telegramtest.KindSupergroup, ID: account.ID*10 + i, Title: "Some group"})
	}
	return account
}

// authKeyOf returns the auth key of an account that is logged in from the beginning. It
// saves the key exchange, which takes longer than everything else.
func authKeyOf(number int) (key crypto.Key) {
	source := rand.NewChaCha8([32]byte{byte(number), byte(number >> 8)})
	_, _ = source.Read(key[:])
	return key
}

// writeState writes the state of a Telegram server at which accounts are logged in.
func writeState(file string, accounts int) error {
	type authKey struct {
		Value   []byte `json:"value"`
		Account int64  `json:"account"`
	}
	var state struct {
		PrivateKey string    `json:"private_key"`
		AuthKeys   []authKey `json:"auth_keys"`
	}
	private, err := rsa.GenerateKey(crand.Reader, crypto.RSAKeyBits)
	if err != nil {
		return err
	}
	state.PrivateKey = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	for i := range accounts {
		key := authKeyOf(i)
		state.AuthKeys = append(state.AuthKeys, authKey{key[:], accountOf(i).ID})
	}
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// manyDialogs are those that all busy accounts have.
func manyDialogs(n int) []telegramtest.Dialog {
	dialogs := make([]telegramtest.Dialog, n)
	for i := range dialogs {
		kind := telegramtest.KindSupergroup
		if i%4 == 0 {
			kind = telegramtest.KindBasicGroup
		}
		dialogs[i] = telegramtest.Dialog{Kind: kind, ID: int64(1000 + i), Title: fmt.Sprintf("Group number %d", i), Members: i}
	}
	return dialogs
}

// startOutside starts the servers, which end with the test.
func startOutside(t testing.TB, cfg outsideConfig) *outside {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	o := &outside{cmd: exec.Command(self)}
	o.cmd.Env = append(os.Environ(), outsideVariable+"=1")
	o.cmd.Stderr = os.Stderr
	o.in, err = o.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := o.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, o.cmd.Start())
	t.Cleanup(func() {
		_ = o.in.Close()
		_ = o.cmd.Wait()
	})
	o.out = bufio.NewScanner(stdout)
	require.NoError(t, json.NewEncoder(o.in).Encode(cfg))
	require.True(t, o.out.Scan(), "the servers did not start")
	require.NoError(t, json.Unmarshal(o.out.Bytes(), &o.outsideReady), "%s", o.out.Bytes())
	return o
}

// dropConnections breaks all connections to Telegram.
func (o *outside) dropConnections(t testing.TB) {
	t.Helper()
	_, err := io.WriteString(o.in, "drop\n")
	require.NoError(t, err)
	require.True(t, o.out.Scan())
}

// datacenter is Telegram, as a bridge is told of it.
func (o *outside) datacenter(t testing.TB) *telegram.Datacenter {
	t.Helper()
	key, err := telegram.ParseKey([]byte(o.Key))
	require.NoError(t, err)
	return &telegram.Datacenter{ID: 2, Addr: o.Telegram, Key: key}
}

// flags point the example at Telegram.
func (o *outside) flags(t testing.TB) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, []byte(o.Key), 0o600))
	return []string{"-telegram-dc", o.Telegram, "-telegram-key", file}
}

// user returns a client of a user of the homeserver.
func (o *outside) user(t testing.TB, number int) *mautrix.Client {
	t.Helper()
	client, err := mautrix.NewClient(o.Homeserver, outsideUser(number), o.Tokens[number])
	require.NoError(t, err)
	return client
}

func outsideUser(number int) id.UserID {
	return id.NewUserID(fmt.Sprintf("user%d", number), dendriteDomain)
}

// runOutside is the process of the servers. It ends when its input does.
func runOutside(in io.Reader, out io.Writer) (err error) {
	lines := bufio.NewScanner(in)
	var cfg outsideConfig
	if !lines.Scan() {
		return errors.New("there is no configuration")
	}
	if err := json.Unmarshal(lines.Bytes(), &cfg); err != nil {
		return err
	}
	options := telegramtest.Config{FullProof: cfg.FullProof}
	if cfg.LoggedIn {
		dir, err := os.MkdirTemp("", "outside")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		options.StateFile = filepath.Join(dir, "telegram.json")
		if err := writeState(options.StateFile, cfg.Accounts); err != nil {
			return err
		}
	}
	server, err := telegramtest.Start(options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	many := manyDialogs(max(0, cfg.Dialogs-ownDialogs))
	contacts := make([]int64, cfg.Contacts)
	for i := range contacts {
		contacts[i] = 4_000_000 + int64(i)
		contact := telegramtest.Account{
			ID: contacts[i], Phone: fmt.Sprintf("99977%05d", i), FirstName: "Contact", LastName: fmt.Sprintf("Number %d", i), Username: fmt.Sprintf("contact_%d", i),
		}
		if err := server.AddAccount(contact); err != nil {
			return err
		}
	}
	for i := range cfg.Accounts + cfg.Busy {
		account := accountOf(i)
		if i >= cfg.Accounts {
			account.Dialogs = append(account.Dialogs, many...)
			account.Contacts = append(account.Contacts, contacts...)
		}
		if err := server.AddAccount(account); err != nil {
			return err
		}
	}
	ready := outsideReady{Telegram: server.Addr(), Key: string(server.PublicKeyPEM())}
	if cfg.Registration != "" {
		registration, err := appservice.LoadRegistration(cfg.Registration)
		if err != nil {
			return err
		}
		hs, err := matrixtest.Start(matrixtest.Config{ServerName: dendriteDomain, Registrations: []*appservice.Registration{registration}})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, hs.Close()) }()
		ready.Homeserver = hs.URL()
		for i := range cfg.Users {
			client, err := hs.AddUser(outsideUser(i).Localpart())
			if err != nil {
				return err
			}
			ready.Tokens = append(ready.Tokens, client.AccessToken)
		}
	}
	answers := json.NewEncoder(out)
	if err := answers.Encode(ready); err != nil {
		return err
	}
	for lines.Scan() {
		server.DropConnections()
		if err := answers.Encode("done"); err != nil {
			return err
		}
	}
	return lines.Err()
}
