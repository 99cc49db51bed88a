-- v0 -> v1: Sessions and half-done logins
CREATE TABLE tgprovision_session (
	-- A Matrix user ID, or relaybot:<bot ID>.
	user_id      TEXT    PRIMARY KEY,
	-- gotd's session, with the auth key. NULL until the first connection is up.
	data         BYTEA,
	-- '' (connected only), 'code', 'password' or 'active'.
	step         TEXT    NOT NULL DEFAULT '',
	-- Of a half-done login: the phone number, Telegram's hash of the code, the
	-- code's length, whether it went by e-mail, and the time of the request in
	-- milliseconds since 1970.
	phone        TEXT    NOT NULL DEFAULT '',
	code_hash    TEXT    NOT NULL DEFAULT '',
	code_length  INTEGER NOT NULL DEFAULT 0,
	emailed      BOOLEAN NOT NULL DEFAULT false,
	requested_at BIGINT  NOT NULL DEFAULT 0
);
