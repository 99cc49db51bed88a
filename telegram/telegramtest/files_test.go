package telegramtest_test

import (
	"testing"

	"github.com/gotd/td/tg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tgprovision/tgprovision/telegram/telegramtest"
)

func TestFiles(t *testing.T) {
	s := newServer(t, withMore())
	data := make([]byte, 10_000)
	data[9_999] = 1
	photo := telegramtest.Photo{ID: 7, Data: data}
	require.NoError(t, s.SetPhoto(telegramtest.KindUser, linus.ID, photo))
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindBasicGroup, ID: 1, Photo: photo, Members: []int64{ada.ID}}))
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindSupergroup, ID: 2, Username: "super", Photo: photo}))
	require.NoError(t, s.SetChat(telegramtest.Chat{Kind: telegramtest.KindBasicGroup, ID: 3, Photo: photo, Members: []int64{grace.ID}}))
	c := start(t, s).logIn(ada)
	user, channel := c.inputUser("linus"), c.inputChannel("super")
	described, ok := c.resolve("linus").Users[0].(*tg.User).Photo.(*tg.UserProfilePhoto)
	require.True(t, ok)
	assert.EqualValues(t, []int64{7, 2}, []int64{described.PhotoID, int64(described.DCID)})
	get := func(location tg.InputFileLocationClass, offset int64, limit int) ([]byte, error) {
		answer, err := c.API().UploadGetFile(t.Context(), &tg.UploadGetFileRequest{Location: location, Offset: offset, Limit: limit})
		if err != nil {
			return nil, err
		}
		return answer.(*tg.UploadFile).Bytes, nil
	}
	of := func(peer tg.InputPeerClass, id int64) tg.InputFileLocationClass {
		return &tg.InputPeerPhotoFileLocation{Big: true, Peer: peer, PhotoID: id}
	}
	linusPeer := &tg.InputPeerUser{UserID: user.UserID, AccessHash: user.AccessHash}
	for _, peer := range []tg.InputPeerClass{
		linusPeer, &tg.InputPeerChat{ChatID: 1}, &tg.InputPeerChannel{ChannelID: 2, AccessHash: channel.AccessHash},
	} {
		got, err := get(of(peer, 7), 0, 1<<20)
		require.NoError(t, err)
		assert.Equal(t, data, got)
	}
	for offset, want := range map[int64]int{0: 4096, 4096: 4096, 8192: 10_000 - 8192, 12288: 0} {
		got, err := get(of(linusPeer, 7), offset, 4096)
		require.NoError(t, err)
		assert.Len(t, got, want)
	}
	for _, refused := range []struct {
		location tg.InputFileLocationClass
		offset   int64
		limit    int
		message  string
	}{
		{of(linusPeer, 8), 0, 4096, "LOCATION_INVALID"},
		{of(&tg.InputPeerSelf{}, 7), 0, 4096, "LOCATION_INVALID"},
		{of(&tg.InputPeerSelf{}, 0), 0, 4096, "LOCATION_INVALID"},
		{&tg.InputPhotoFileLocation{}, 0, 4096, "LOCATION_INVALID"},
		{of(&tg.InputPeerUser{UserID: linus.ID}, 7), 0, 4096, "PEER_ID_INVALID"},
		{of(&tg.InputPeerChat{ChatID: 3}, 7), 0, 4096, "PEER_ID_INVALID"},
		{of(&tg.InputPeerChannel{ChannelID: 2}, 7), 0, 4096, "CHANNEL_INVALID"},
		{of(linusPeer, 7), 0, 0, "LIMIT_INVALID"},
		{of(linusPeer, 7), 0, 1000, "LIMIT_INVALID"},
		{of(linusPeer, 7), 0, 2 << 20, "LIMIT_INVALID"},
		{of(linusPeer, 7), 0, 12288, "LIMIT_INVALID"},
		{of(linusPeer, 7), 100, 4096, "OFFSET_INVALID"},
		{of(linusPeer, 7), 4096, 1 << 20, "OFFSET_INVALID"},
	} {
		_, err := get(refused.location, refused.offset, refused.limit)
		rpcError(t, err, 400, refused.message)
	}
}

func TestMediaDatacenter(t *testing.T) {
	options := withMore()
	options.MediaDC = 4
	options.Accounts[0].Photo = telegramtest.Photo{ID: 7, Data: []byte("data")}
	s := newServer(t, options)
	c := start(t, s).logIn(ada)
	config, err := c.API().HelpGetConfig(t.Context())
	require.NoError(t, err)
	require.Len(t, config.DCOptions, 2)
	assert.Equal(t, []int{2, 4}, []int{config.DCOptions[0].ID, config.DCOptions[1].ID})
	answer, err := c.API().UploadGetFile(t.Context(), &tg.UploadGetFileRequest{ // gotd moves the login
		Location: &tg.InputPeerPhotoFileLocation{Peer: &tg.InputPeerSelf{}, PhotoID: 7}, Limit: 4096,
	})
	require.NoError(t, err)
	assert.Equal(t, "data", string(answer.(*tg.UploadFile).Bytes))
	assert.Equal(t, []int{2, 1}, []int{s.Calls("upload.getFile"), s.Calls("auth.importAuthorization")})

	_, err = c.API().AuthExportAuthorization(t.Context(), 2)
	rpcError(t, err, 400, "DC_ID_INVALID")
	_, err = c.API().AuthImportAuthorization(t.Context(), &tg.AuthImportAuthorizationRequest{ID: ada.ID, Bytes: []byte("no")})
	rpcError(t, err, 400, "AUTH_BYTES_INVALID")
}
