package connector

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/gotd/td/tg"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/bridgev2/networkid"

	"github.com/tgprovision/tgprovision/provisioning"
)

//go:embed upgrades/*.sql
var upgradeFiles embed.FS

// hashStore keeps the access hashes of users and channels, which are different for each
// account (https://core.telegram.org/api/peers).
type hashStore struct{ db *dbutil.Database }

func newHashStore(shared *dbutil.Database) *hashStore {
	table := dbutil.BuildUpgradeTable().WithFSPath(upgradeFiles, "upgrades").Finish()
	return &hashStore{shared.Child("tgbridge_version", table, dbutil.NoopLogger)}
}

// get returns a hash, and false for one that is not known.
func (s *hashStore) get(ctx context.Context, login networkid.UserLoginID, peer provisioning.ChatID) (hash int64, known bool, err error) {
	err = s.db.QueryRow(ctx, `SELECT hash FROM tgbridge_access_hash WHERE login_id=$1 AND peer_id=$2`, login, peer).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("%w: read an access hash: %w", provisioning.ErrDatabase, err)
	}
	return hash, true, nil
}

// put stores hashes.
func (s *hashStore) put(ctx context.Context, login networkid.UserLoginID, hashes map[provisioning.ChatID]int64) error {
	const query = `
		INSERT INTO tgbridge_access_hash (login_id, peer_id, hash) VALUES ($1, $2, $3)
		ON CONFLICT (login_id, peer_id) DO UPDATE SET hash=excluded.hash
	`
	if len(hashes) == 0 {
		return nil
	}
	err := s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		for peer, hash := range hashes {
			if _, err := s.db.Exec(ctx, query, login, peer, hash); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: store access hashes: %w", provisioning.ErrDatabase, err)
	}
	return nil
}

// delete forgets a hash that was wrong.
func (s *hashStore) delete(ctx context.Context, login networkid.UserLoginID, peer provisioning.ChatID) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM tgbridge_access_hash WHERE login_id=$1 AND peer_id=$2`, login, peer); err != nil {
		return fmt.Errorf("%w: delete an access hash: %w", provisioning.ErrDatabase, err)
	}
	return nil
}

// deleteLogin forgets all hashes of a login.
func (s *hashStore) deleteLogin(ctx context.Context, login networkid.UserLoginID) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM tgbridge_access_hash WHERE login_id=$1`, login); err != nil {
		return fmt.Errorf("%w: delete access hashes: %w", provisioning.ErrDatabase, err)
	}
	return nil
}

// remember stores the hashes of users and channels that Telegram has told of. Those that are
// only sketched (TL: min) have none that can be used.
func (c *Client) remember(ctx context.Context, users []*tg.User, channels []*tg.Channel) error {
	hashes := map[provisioning.ChatID]int64{}
	for _, user := range users {
		if hash, ok := user.GetAccessHash(); ok && !user.Min {
			hashes[provisioning.UserChatID(provisioning.TelegramID(user.ID))] = hash
		}
	}
	for _, channel := range channels {
		if hash, ok := channel.GetAccessHash(); ok && !channel.Min {
			hashes[provisioning.ChannelChatID(channel.ID)] = hash
		}
	}
	return c.connector.hashes.put(ctx, c.login.ID, hashes)
}

// inputPeer names a chat to Telegram. Errors: ErrUnknownChat.
func (c *Client) inputPeer(ctx context.Context, chat provisioning.ChatID) (tg.InputPeerClass, error) {
	kind, id, _ := chat.Split()
	if kind == provisioning.PeerChat {
		return &tg.InputPeerChat{ChatID: id}, nil
	}
	hash, known, err := c.connector.hashes.get(ctx, c.login.ID, chat)
	switch {
	case err != nil:
		return nil, err
	case !known && !c.metadata.IsBot(): // bots need no hashes
		return nil, ErrUnknownChat
	case kind == provisioning.PeerUser:
		return &tg.InputPeerUser{UserID: id, AccessHash: hash}, nil
	default:
		return &tg.InputPeerChannel{ChannelID: id, AccessHash: hash}, nil
	}
}

// ErrUnknownChat means that the account has not met the user or channel yet, and so can't name it to
// Telegram.
var ErrUnknownChat = errors.New("Telegram has not told this account of the chat yet")
