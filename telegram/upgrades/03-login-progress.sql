-- v2 -> v3: What there is to say about a half-done login
-- How the code was sent and where to; how it can be sent again ('' where it can't) and
-- when, in milliseconds since 1970; the hint for the two-factor password.
ALTER TABLE tgprovision_session ADD COLUMN delivery TEXT NOT NULL DEFAULT '';
ALTER TABLE tgprovision_session ADD COLUMN destination TEXT NOT NULL DEFAULT '';
ALTER TABLE tgprovision_session ADD COLUMN next_delivery TEXT NOT NULL DEFAULT '';
ALTER TABLE tgprovision_session ADD COLUMN resend_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tgprovision_session ADD COLUMN password_hint TEXT NOT NULL DEFAULT '';
