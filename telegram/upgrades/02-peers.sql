-- v1 -> v2: Who is logged in, and the access hashes that their accounts know

-- The Telegram account of an active session: its ID, main username, and whether it
-- is a bot. The ID is 0 for sessions of v1 that were not used since.
ALTER TABLE tgprovision_session ADD COLUMN account_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tgprovision_session ADD COLUMN username TEXT NOT NULL DEFAULT '';
ALTER TABLE tgprovision_session ADD COLUMN bot BOOLEAN NOT NULL DEFAULT false;

-- What names a user or channel to Telegram besides its ID, different for each account.
CREATE TABLE tgprovision_peer (
	-- The session, and with it the account, that the hash belongs to.
	user_id     TEXT   NOT NULL,
	-- 'user' or 'channel'.
	kind        TEXT   NOT NULL,
	peer_id     BIGINT NOT NULL,
	access_hash BIGINT NOT NULL,

	PRIMARY KEY (user_id, kind, peer_id)
);
