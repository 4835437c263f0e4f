// Package mongostore keeps sessions in MongoDB. It is the store for an app of
// which several instances run.
package mongostore
