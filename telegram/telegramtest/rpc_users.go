package telegramtest

import (
	"strings"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
)

func helpMethods() map[uint32]method {
	m := map[uint32]method{}
	add(m, true, func(s *Server, _ keyID, _ *tg.HelpGetConfigRequest) (bin.Encoder, error) {
		now := time.Now()
		return &tg.Config{
			Date: int(now.Unix()), Expires: int(now.Add(time.Hour).Unix()), ThisDC: s.dc, DCOptions: []tg.DCOption{s.option()},
		}, nil
	})
	add(m, true, func(s *Server, _ keyID, _ *tg.HelpGetNearestDCRequest) (bin.Encoder, error) {
		return &tg.NearestDC{Country: "XX", ThisDC: s.dc, NearestDC: s.dc}, nil
	})
	add(m, true, func(*Server, keyID, *tg.HelpGetCDNConfigRequest) (bin.Encoder, error) {
		return &tg.CDNConfig{}, nil
	})
	return m
}

func userMethods() map[uint32]method {
	m := map[uint32]method{}
	add(m, false, getUsers)
	add(m, false, func(*Server, keyID, *tg.UpdatesGetStateRequest) (bin.Encoder, error) {
		return &tg.UpdatesState{Pts: 1, Date: int(time.Now().Unix()), Seq: 1}, nil
	})
	add(m, false, resolveUsername)
	add(m, false, resolvePhone)
	return m
}

// https://core.telegram.org/method/users.getUsers
func getUsers(s *Server, key keyID, q *tg.UsersGetUsersRequest) (bin.Encoder, error) {
	self := s.accountOf(key)
	users := vector{}
	for _, input := range q.ID {
		switch u := input.(type) {
		case *tg.InputUserSelf:
			users = append(users, self.user(true))
		case *tg.InputUser:
			a := s.accountByID(u.UserID)
			if a == nil || u.AccessHash != accessHash(u.UserID) {
				return nil, tgerr.New(400, "USER_ID_INVALID")
			}
			users = append(users, a.user(a == self))
		default:
			users = append(users, &tg.UserEmpty{})
		}
	}
	return users, nil
}

// https://core.telegram.org/method/contacts.resolveUsername
func resolveUsername(s *Server, _ keyID, q *tg.ContactsResolveUsernameRequest) (bin.Encoder, error) {
	s.mu.Lock()
	a := s.world.byUsername[strings.ToLower(q.Username)]
	s.mu.Unlock()
	if a == nil {
		return nil, tgerr.New(400, "USERNAME_NOT_OCCUPIED")
	}
	return &tg.ContactsResolvedPeer{Peer: &tg.PeerUser{UserID: a.ID}, Users: []tg.UserClass{a.user(false)}}, nil
}

// https://core.telegram.org/method/contacts.resolvePhone
func resolvePhone(s *Server, _ keyID, q *tg.ContactsResolvePhoneRequest) (bin.Encoder, error) {
	s.mu.Lock()
	a := s.world.byPhone[digitsOf(q.Phone)]
	s.mu.Unlock()
	if a == nil || a.SignUpRequired {
		return nil, tgerr.New(400, "PHONE_NOT_OCCUPIED")
	}
	return &tg.ContactsResolvedPeer{Peer: &tg.PeerUser{UserID: a.ID}, Users: []tg.UserClass{a.user(false)}}, nil
}
