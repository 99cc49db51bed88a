-- v6 -> v7 (compatible with v3+): Which Matrix users portals and ghosts are there for
-- Who has asked for the portal with the account. '' where nobody in particular did, or it
-- was recorded before this version.
ALTER TABLE tgprovision_portal_account ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
CREATE INDEX tgprovision_portal_account_user ON tgprovision_portal_account (user_id);

-- Ghosts of before this version have no row here.
CREATE TABLE tgprovision_ghost_user (
	user_id     TEXT   NOT NULL,
	telegram_id BIGINT NOT NULL,

	PRIMARY KEY (user_id, telegram_id)
);
CREATE INDEX tgprovision_ghost_user_ghost ON tgprovision_ghost_user (telegram_id);

-- Which ghosts show a photo.
CREATE INDEX tgprovision_ghost_photo ON tgprovision_ghost (photo_id);
