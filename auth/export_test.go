package auth

// The defaults of a TokensConfig, for tests.
const (
	DefaultTokenKeep        = defaultTokenKeep
	DefaultTokenKeepInvalid = defaultTokenKeepInvalid
	DefaultTokenWaiting     = defaultTokenWaiting
)
