-- v1 -> v2 (compatible with v1+): Whether links of users have changed
-- One row, whose number grows with every change of a user: see internal/dbcache.
CREATE TABLE tgprovision_user_change (number BIGINT NOT NULL);
INSERT INTO tgprovision_user_change (number) VALUES (0);

-- only: postgres until "end only"
CREATE FUNCTION tgprovision_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE tgprovision_user_change SET number=number+1;
	RETURN NULL;
END $$;
CREATE TRIGGER tgprovision_user_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tgprovision_user
	FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_user_changed();
-- end only postgres

-- only: sqlite until "end only"
CREATE TRIGGER tgprovision_user_inserted AFTER INSERT ON tgprovision_user
	BEGIN UPDATE tgprovision_user_change SET number=number+1; END;
CREATE TRIGGER tgprovision_user_updated AFTER UPDATE ON tgprovision_user
	BEGIN UPDATE tgprovision_user_change SET number=number+1; END;
CREATE TRIGGER tgprovision_user_deleted AFTER DELETE ON tgprovision_user
	BEGIN UPDATE tgprovision_user_change SET number=number+1; END;
-- end only sqlite
