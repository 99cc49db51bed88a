-- v0 -> v1: Login links and the sessions that they have opened
CREATE TABLE tgprovision_login_link (
	user_id TEXT   PRIMARY KEY,
	-- Of the token of the link or, once that is opened, of the session.
	hash    TEXT   NOT NULL UNIQUE,
	-- From then on it is no longer valid, in milliseconds since 1970.
	until   BIGINT NOT NULL
);
