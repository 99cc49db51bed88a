-- v3 -> v4 (compatible with v3+): Half-done logins are found among many sessions
-- Those that nobody finishes are deleted at every start, and now and then.
CREATE INDEX tgprovision_session_unfinished ON tgprovision_session (requested_at) WHERE step<>'active';
