-- v0 -> v1: What names users and channels to each login
CREATE TABLE tgbridge_access_hash (
	login_id TEXT   NOT NULL,
	peer_id  BIGINT NOT NULL, -- positive for users, -(10^12 + ID) for channels
	hash     BIGINT NOT NULL,
	PRIMARY KEY (login_id, peer_id)
);
