package telegramtest

import (
	"sort"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/tg"
)

func dialogMethods() map[uint32]method {
	m := map[uint32]method{}
	add(m, false, getDialogs)
	return m
}

// maxPage is the number of dialogs that one answer has at most.
const maxPage = 100

// https://core.telegram.org/method/messages.getDialogs
func getDialogs(s *Server, key keyID, q *tg.MessagesGetDialogsRequest) (bin.Encoder, error) {
	self := s.accountOf(key)
	if self.Bot {
		return nil, errBot
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	number, chosen := q.GetFolderID()
	f := self.dialogs[number]
	if f == nil {
		f = &folder{}
	}
	first := q.OffsetDate == 0 && q.OffsetID == 0
	if _, empty := q.OffsetPeer.(*tg.InputPeerEmpty); !empty {
		first = false
	}
	entries := f.page(q, first)
	answer := pageOf(s, self, entries)
	if archive := self.dialogs[folderArchive]; first && !chosen && archive != nil && archive.len() > 0 {
		answer.Dialogs = append([]tg.DialogClass{archive.asDialog()}, answer.Dialogs...)
	}
	total := f.len()
	if q.ExcludePinned {
		total = len(f.others)
	}
	if first && len(entries) == total {
		return answer, nil
	}
	return &tg.MessagesDialogsSlice{
		Count: total, Dialogs: answer.Dialogs, Messages: answer.Messages, Chats: answer.Chats, Users: answer.Users,
	}, nil
}

// page returns the entries that a request asks for: the pinned ones are at the
// front of the first page only.
func (f *folder) page(q *tg.MessagesGetDialogsRequest, first bool) []entry {
	limit := q.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	rest := f.others
	var page []entry
	if first {
		if !q.ExcludePinned {
			page = append(page, f.pinned...)
		}
	} else {
		rest = rest[sort.Search(len(rest), func(i int) bool {
			e := rest[i]
			return e.Date < q.OffsetDate || e.Date == q.OffsetDate && e.message < q.OffsetID
		}):]
	}
	page = append(page, rest...)
	return page[:min(limit, len(page))]
}

// pageOf describes entries, and just what occurs in them.
func pageOf(s *Server, self *account, entries []entry) *tg.MessagesDialogs {
	answer := &tg.MessagesDialogs{}
	for _, e := range entries {
		answer.Dialogs = append(answer.Dialogs, e.dialog())
		if !e.NoMessage {
			answer.Messages = append(answer.Messages, e.lastMessage())
		}
		if e.Kind == KindUser {
			a := s.world.accounts[e.ID]
			answer.Users = append(answer.Users, a.user(a == self))
		} else {
			answer.Chats = append(answer.Chats, e.chat())
		}
	}
	return answer
}

// asDialog is the entry of the archive in the main list.
func (f *folder) asDialog() *tg.DialogFolder {
	last := append(f.pinned, f.others...)[0]
	return &tg.DialogFolder{
		Folder: tg.Folder{ID: folderArchive, Title: "Archived chats"}, Peer: last.peer(), TopMessage: last.message,
	}
}
