-- v2 -> v3: What ghosts show of themselves, and which photos were uploaded
CREATE TABLE tgprovision_ghost (
	telegram_id BIGINT PRIMARY KEY,
	name        TEXT   NOT NULL,
	-- Telegram's ID of the photo that is the avatar, 0 for none.
	photo_id    BIGINT NOT NULL,
	avatar_url  TEXT   NOT NULL
);

CREATE TABLE tgprovision_photo (
	photo_id BIGINT PRIMARY KEY,
	-- mxc://
	uri      TEXT   NOT NULL
);
