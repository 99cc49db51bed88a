// Package connector connects a bridge on mautrix-go's bridgev2 to Telegram. It is as small
// as it can be and real: logins, chats, and text messages both ways.
//
// Messages that come while the bridge does not run are not fetched afterwards.
package connector
