-- v3 -> v4 (compatible with v3+): Whether portals have changed
-- One row, whose number grows with every change of a portal: see internal/dbcache.
CREATE TABLE tgprovision_portal_change (number BIGINT NOT NULL);
INSERT INTO tgprovision_portal_change (number) VALUES (0);

-- only: postgres until "end only"
CREATE FUNCTION tgprovision_portal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE tgprovision_portal_change SET number=number+1;
	RETURN NULL;
END $$;
CREATE TRIGGER tgprovision_portal_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tgprovision_portal
	FOR EACH STATEMENT EXECUTE FUNCTION tgprovision_portal_changed();
-- end only postgres

-- only: sqlite until "end only"
CREATE TRIGGER tgprovision_portal_inserted AFTER INSERT ON tgprovision_portal
	BEGIN UPDATE tgprovision_portal_change SET number=number+1; END;
CREATE TRIGGER tgprovision_portal_updated AFTER UPDATE ON tgprovision_portal
	BEGIN UPDATE tgprovision_portal_change SET number=number+1; END;
CREATE TRIGGER tgprovision_portal_deleted AFTER DELETE ON tgprovision_portal
	BEGIN UPDATE tgprovision_portal_change SET number=number+1; END;
-- end only sqlite
