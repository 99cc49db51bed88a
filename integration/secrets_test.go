package integration

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/gotd/td/session"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"
)

// secretText returns a text that stands nowhere else.
func secretText() string { return rand.Text() }

// finder finds texts in files, many at a time.
type finder struct {
	first map[[finderKey]byte][]named // by how they begin
	maybe [1 << 16]bool               // that some begin with these two bytes
}

// finderKey is how long the texts are at least.
const finderKey = 8

// named is a text to be found.
type named struct {
	text []byte
	name string
}

// add has a text be found in each form that a database and its dumps may have it in.
func (f *finder) add(text []byte, name string) {
	if f.first == nil {
		f.first = map[[finderKey]byte][]named{}
	}
	inBase64 := []byte(base64.StdEncoding.EncodeToString(text))
	for form, text := range map[string][]byte{
		"": text, " in hex": hexOf(text), " in base64": inBase64, " in hex of base64": hexOf(inBase64),
	} {
		key := [finderKey]byte(text)
		f.first[key] = append(f.first[key], named{text, name + form})
		f.maybe[uint16(text[0])<<8|uint16(text[1])] = true
	}
}

func hexOf(text []byte) []byte { return hex.AppendEncode(nil, text) }

// find returns the names of the texts that are in data.
func (f *finder) find(data []byte) map[string]bool {
	found := map[string]bool{}
	for i := 0; i+finderKey <= len(data); i++ {
		if !f.maybe[uint16(data[i])<<8|uint16(data[i+1])] {
			continue
		}
		for _, n := range f.first[[finderKey]byte(data[i:])] {
			if bytes.HasPrefix(data[i:], n.text) {
				found[n.name] = true
			}
		}
	}
	return found
}

// databaseBytes returns all that there is of a database on disk, and of PostgreSQL a dump
// besides, by the names of the files.
func databaseBytes(t *testing.T, database string) map[string][]byte {
	t.Helper()
	if isPostgres(database) {
		return postgres.files(t, database)
	}
	all := map[string][]byte{}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		readInto(t, all, database+suffix)
	}
	return all
}

// readInto reads a file, unless it is not there any more.
func readInto(t *testing.T, all map[string][]byte, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	all[name] = data
}

// files returns the files of a database, the write-ahead log of the cluster, and a dump.
func (c *cluster) files(t *testing.T, database string) map[string][]byte {
	t.Helper()
	db := openRaw(t, database)
	_, err := db.ExecContext(t.Context(), `CHECKPOINT`) // what is in memory is in the files then
	require.NoError(t, err)
	dump := filepath.Join(c.dir, fmt.Sprintf("dump%d.sql", c.created.Add(1)))
	require.NoError(t, c.run("pg_dump", "--dbname", database, "--file", dump))
	defer os.Remove(dump)
	all := map[string][]byte{}
	readInto(t, all, dump)
	oid := count(t, db, `SELECT oid FROM pg_database WHERE datname=current_database()`)
	for _, folder := range []string{filepath.Join("base", fmt.Sprint(oid)), "pg_wal"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(c.data(), folder), func(name string, entry fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err): // a table that was made anew, or a segment of the log that is not needed any more
				return nil
			case err == nil && entry.Type().IsRegular():
				readInto(t, all, name)
			}
			return err
		}))
	}
	return all
}

// wantNoSecrets checks that nothing secret is in clear in the database.
func (r *randomRun) wantNoSecrets() {
	r.t.Helper()
	secrets, control := &finder{}, &finder{}
	for i, key := range r.telegram.AuthKeys() {
		secrets.add(key, fmt.Sprint("auth key ", i))
	}
	for i, hash := range r.telegram.CodeHashes() {
		secrets.add([]byte(hash), fmt.Sprint("code hash ", i))
	}
	for _, a := range r.accounts {
		for name, text := range map[string]string{
			"phone": a.Phone, "token": a.Token, "password": a.Password, "hint": a.PasswordHint, "name": a.FirstName, "username": a.Username,
		} {
			if text != "" {
				secrets.add([]byte(text), fmt.Sprint(name, " of ", a.ID))
			}
		}
	}
	for user := range people {
		control.add([]byte(r.user(user)), r.user(user))
	}
	controls := map[string]bool{}
	for name, data := range databaseBytes(r.t, r.database) {
		require.Empty(r.t, secrets.find(data), "%s", name)
		for user := range control.find(data) {
			controls[user] = true
		}
	}
	require.NotEmpty(r.t, controls, "these are not the files of the database")
	for _, e := range r.processes {
		if e != nil {
			r.logs.WriteString(e.stderr.String())
		}
	}
	require.Empty(r.t, secrets.find([]byte(r.logs.String())), "in a log")
	r.logs.Reset()
}

// sessionRow is a row of somebody who is logged in.
type sessionRow struct {
	user, authKey string
	account       int64
}

// rows returns the sessions that are logged in.
func (r *randomRun) rows() (all []sessionRow) {
	r.t.Helper()
	rows, err := r.raw.QueryContext(r.t.Context(), `SELECT id, user_id, account_id, session FROM tgprovision_session WHERE step='active'`)
	require.NoError(r.t, err)
	defer rows.Close()
	for rows.Next() {
		var id string
		var sealed []byte
		var row sessionRow
		require.NoError(r.t, rows.Scan(&id, &row.user, &row.account, &sealed))
		row.authKey = authKeyIn(r.t, unseal(r.t, sealed, row.user+"\x00"+id+"\x00session"))
		all = append(all, row)
	}
	require.NoError(r.t, rows.Err())
	return all
}

// unseal decrypts a stored value as package telegram documents it: a byte for the form, the
// ID of the key, a nonce, and what XChaCha20-Poly1305 has made, bound to the place of the value.
func unseal(t *testing.T, sealed []byte, place string) []byte {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(sessionKey.Text())
	require.NoError(t, err)
	aead, err := chacha20poly1305.NewX(secret)
	require.NoError(t, err)
	const header = 1 + 8
	require.Equal(t, fmt.Sprintf("01%s", sessionKey.ID()), hex.EncodeToString(sealed[:header]))
	nonce, value := sealed[header:][:aead.NonceSize()], sealed[header+aead.NonceSize():]
	opened, err := aead.Open(nil, nonce, value, []byte(place))
	require.NoError(t, err)
	return opened
}

// authKeyIn returns how the auth key of a session in gotd's form begins, in hex.
func authKeyIn(t *testing.T, data []byte) string {
	t.Helper()
	memory := &session.StorageMemory{}
	require.NoError(t, memory.StoreSession(t.Context(), data))
	loader := session.Loader{Storage: memory}
	decoded, err := loader.Load(t.Context())
	require.NoError(t, err)
	return hex.EncodeToString(decoded.AuthKey[:8])
}
