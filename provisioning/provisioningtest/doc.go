// Package provisioningtest has what the authors of a bridge need to test it
// together with package provisioning: in-memory implementations of its
// interfaces, and conformance suites for their own.
//
// A host with its own user store runs the suite on it:
//
//	func TestUserStore(t *testing.T) {
//		provisioningtest.TestUserStore(t, func(t *testing.T) func(*testing.T) provisioning.UserStore {
//			path := filepath.Join(t.TempDir(), "users.db")
//			return func(t *testing.T) provisioning.UserStore { return openStore(t, path) }
//		})
//	}
//
// [TestPortalStore] and [TestTaskStore] do the same for portal stores and task stores, and
// [TestTaskPortalStore] for both together. [TestPortalLister] checks a store that lists its
// portals. [TestPortalUsers], [TestAccountFinder] and
// [TestGhostUsers] check what forgetting a user takes, [TestLimitStore] what counts for limits,
// [TestLoginLinkStore] what keeps login links. [TestRooms], [TestDirectRooms] and
// [TestGhostAvatars] check what acts on Matrix rooms, on a homeserver where they can
// arrange what it finds: see [RoomsBackend] and [Homeserver]. [TestTokenChecker] checks
// tokens that a homeserver has issued: see [TokensBackend]. [TestChecker] checks the part of any
// implementation that says whether it can be used. An implementation that reaches
// its homeserver over HTTP does so through a [Network], which these suites disturb.
//
// [TestTelegramClient] is the suite of Telegram clients, and each of their optional
// abilities has one: [TestPhoneLogin], [TestLoginControl], [TestQRLogin], [TestBotLogin],
// [TestChatLister], [TestContactLister], [TestStickerSetLister], [TestChatGetter],
// [TestMigrationLister], [TestChatCreator], [TestCreatedChatLister], [TestUserResolver] and
// [TestPhotoGetter]. A host runs those of the abilities that its clients have, on a Telegram
// that they can arrange: see [TelegramBackend].
//
//	func TestQRLogin(t *testing.T) { provisioningtest.TestQRLogin(t, newBackend) }
//
// [MemUserStore], [MemPortalStore], [MemRooms], [MemTokens] and [Telegram] are real
// implementations that forget everything with the process. They count the calls of their
// methods, fail on demand and can be held in the middle of a call: see [Script].
//
// The package imports nothing but the standard library, package provisioning and
// the Matrix IDs of mautrix-go.
package provisioningtest
