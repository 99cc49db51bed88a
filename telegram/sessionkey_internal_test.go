package telegram

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/provisioning"
)

const somewhere = "@you:example.com\x00row\x00session"

// A value that was sealed when this was written.
const (
	goldenKey   = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	goldenID    = "c673e6ee1febb006"
	goldenValue = "01c673e6ee1febb0068e67c094d98f4657e0e8c1e9713abd646f6c31964de9209f5c45d5f47f3d816ece397f912d25eca70a25c35406dc4a696affc806"
)

func mustParse(t *testing.T, text string) SessionKey {
	t.Helper()
	key, err := ParseSessionKey(text)
	require.NoError(t, err)
	return key
}

func TestSealedValues(t *testing.T) {
	one, two := NewSessionKey(), NewSessionKey()
	require.NotEqual(t, one, two)
	value := []byte("the auth key")
	ring := newKeyring([]SessionKey{one})
	sealed := ring.seal(value, somewhere)
	assert.NotContains(t, string(sealed), "auth")
	assert.NotEqual(t, sealed, ring.seal(value, somewhere), "each has a nonce of its own")
	for name, keys := range map[string][]SessionKey{"the key": {one}, "as an old key": {two, one}} {
		opened, err := newKeyring(keys).open(sealed, somewhere)
		require.NoError(t, err, name)
		assert.Equal(t, value, opened, name)
	}
	for _, keys := range [][]SessionKey{nil, {two}} {
		_, err := newKeyring(keys).open(sealed, somewhere)
		require.ErrorIs(t, err, errUnknownKey)
	}
	_, err := ring.open(sealed, "@them:example.com\x00row\x00session")
	require.Error(t, err, "in another place")
	for i := range sealed {
		changed := append([]byte(nil), sealed...)
		changed[i] ^= 1
		_, err := ring.open(changed, somewhere)
		require.Error(t, err, "byte %d was changed", i)
		_, err = ring.open(sealed[:i], somewhere)
		require.Error(t, err, "%d bytes are left", i)
	}
	assert.True(t, ring.current(sealed))
	assert.False(t, newKeyring([]SessionKey{two, one}).current(sealed))
}

func TestClearValues(t *testing.T) {
	without, with := newKeyring(nil), newKeyring([]SessionKey{NewSessionKey()})
	stored := without.seal([]byte("value"), somewhere)
	assert.Equal(t, "\x00value", string(stored))
	value, err := without.open(stored, somewhere)
	require.NoError(t, err)
	assert.Equal(t, "value", string(value))
	_, err = with.open(stored, somewhere)
	require.ErrorContains(t, err, "not encrypted")
	assert.True(t, without.current(stored))
	assert.False(t, with.current(stored))
}

// What was stored by this version is read by later ones.
func TestSealedValueOfThisVersion(t *testing.T) {
	key := mustParse(t, goldenKey)
	assert.Equal(t, goldenID, key.ID())
	sealed, err := hex.DecodeString(goldenValue)
	require.NoError(t, err)
	value, err := newKeyring([]SessionKey{key}).open(sealed, somewhere)
	require.NoError(t, err)
	assert.Equal(t, "of version 1", string(value))
}

func TestSessionKeysAreNotShown(t *testing.T) {
	key := mustParse(t, goldenKey)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		assert.Equal(t, "session key "+goldenID, fmt.Sprintf(verb, key))
	}
	assert.NotContains(t, fmt.Sprintf("%+v", Config{SessionKeys: []SessionKey{key}}), "1 2 3")
	text, err := json.Marshal(map[string]any{"key": key})
	require.NoError(t, err)
	assert.Equal(t, `{"key":{}}`, string(text))
}

func TestParseSessionKey(t *testing.T) {
	key := NewSessionKey()
	assert.Equal(t, key, mustParse(t, " "+key.Text()+"\n"))
	for _, text := range []string{"", "secret", key.Text()[4:], key.Text() + "AAAA", hex.EncodeToString([]byte(key.Text()))} {
		_, err := ParseSessionKey(text)
		require.ErrorContains(t, err, "32 bytes in base64")
		if text != "" {
			assert.NotContains(t, err.Error(), text)
		}
	}
}

// Details of each version are read by this one.
func TestDetailsOfEachVersion(t *testing.T) {
	at := time.UnixMilli(1764280800000)
	want := map[string]record{
		"1-login": {login: halfDone{
			phone: "+9996610001", codeHash: "hash", codeLength: 5, emailed: true, requestedAt: at, delivery: "email", destination: "a***@example.com",
			nextDelivery: "sms", resendAt: at.Add(time.Minute), passwordHint: "forty",
		}},
		"1-login-wrong": {login: halfDone{
			phone: "+9996610001", codeHash: "hash", codeLength: 5, emailed: true, requestedAt: at, wrong: 3, delivery: "email", destination: "a***@example.com",
			nextDelivery: "sms", resendAt: at.Add(time.Minute), passwordHint: "forty",
		}},
		"1-account": {account: provisioning.Account{
			ID: 1001, Username: "ada", FirstName: "Ada", LastName: "Lovelace", Phone: "9996610001", IsBot: true,
		}},
	}
	files, err := os.ReadDir("testdata/details")
	require.NoError(t, err)
	require.Len(t, files, len(want))
	s := &sessionStore{keys: newKeyring(nil)}
	for name, r := range want {
		stored, err := os.ReadFile("testdata/details/" + name + ".json")
		require.NoError(t, err)
		var got record
		require.NoError(t, s.openDetails("", &got, append([]byte{formClear}, stored...)))
		assert.Equal(t, r, got, name)
		written, err := s.sealDetails("", r)
		require.NoError(t, err)
		assert.JSONEq(t, string(stored), string(written[1:]), name)
	}
}
