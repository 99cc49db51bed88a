-- v0 -> v1: Which room is bridged to which chat, and which accounts take part
CREATE TABLE tgprovision_portal (
	room_id  TEXT   PRIMARY KEY,
	-- In the style of the Bot API.
	chat_id  BIGINT NOT NULL,
	-- Of a direct chat, whose it is. 0 for groups and channels.
	receiver BIGINT NOT NULL DEFAULT 0,
	title    TEXT   NOT NULL DEFAULT '',

	UNIQUE (chat_id, receiver)
);

CREATE TABLE tgprovision_portal_account (
	room_id     TEXT   NOT NULL REFERENCES tgprovision_portal (room_id) ON DELETE CASCADE,
	telegram_id BIGINT NOT NULL,

	PRIMARY KEY (telegram_id, room_id)
);

-- For the cascade.
CREATE INDEX tgprovision_portal_account_room ON tgprovision_portal_account (room_id);
