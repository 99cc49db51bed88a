-- v0 -> v1: Which Telegram account each Matrix user is linked to
CREATE TABLE tgprovision_user (
	-- Users without an account have no row.
	user_id     TEXT    PRIMARY KEY,
	telegram_id BIGINT  NOT NULL,
	-- The account was linked to another user since.
	displaced   BOOLEAN NOT NULL
);

-- An account is linked to one user.
CREATE UNIQUE INDEX tgprovision_user_linked ON tgprovision_user (telegram_id) WHERE NOT displaced;
CREATE INDEX tgprovision_user_displaced ON tgprovision_user (telegram_id) WHERE displaced;
