package matrixtest

import (
	"io"

	"maunium.net/go/mautrix/id"
)

// Media is a file that was uploaded.
type Media struct {
	Data []byte
	Type string
}

func (s *Server) upload(c *call) (any, *fault) {
	data, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, badJSON
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mediaID := newID()
	s.media[mediaID] = Media{data, c.Header.Get("Content-Type")}
	return map[string]any{"content_uri": "mxc://" + s.cfg.ServerName + "/" + mediaID}, nil
}

func (s *Server) download(c *call) (any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.media[c.PathValue("media")]
	if !ok || c.PathValue("server") != s.cfg.ServerName {
		return nil, notFound
	}
	return m, nil
}

// Media returns an uploaded file, and false for an unknown one.
func (s *Server) Media(uri id.ContentURIString) (Media, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.media[uri.ParseOrIgnore().FileID]
	return m, ok
}

// Uploads returns how many files there are.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.media)
}
