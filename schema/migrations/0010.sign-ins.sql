-- depends: 0009.no-checks-on-every-call
-- People come and go: a browser's sign-in is a row that can be ended, tokens have scopes and an end, users have settings.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- `scopes` are permissions; without any the token may do whatever its user's role may do.
ALTER TABLE access_tokens
-- squawk-ignore adding-field-with-default
ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
ADD COLUMN scopes text[],
ADD COLUMN expires_at timestamptz,
ADD COLUMN last_used_at timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX access_tokens_id ON access_tokens (id);

-- The cookie holds the id of the row and nothing else. `token_id` is the token that a person signed in with: its end is
-- the end of the sign-in.
CREATE TYPE sign_in_method AS ENUM ('code', 'token', 'oidc');
CREATE TABLE sign_ins (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method sign_in_method NOT NULL,
    token_id uuid REFERENCES access_tokens (id) ON DELETE CASCADE,
    user_agent text NOT NULL CONSTRAINT sign_ins_user_agent_length CHECK (length(user_agent) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX sign_ins_user ON sign_ins (user_id);
CREATE INDEX sign_ins_token ON sign_ins (token_id);

ALTER TABLE users
ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';
-- Runs of disabled users are looked for every second.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX users_disabled ON users (id) WHERE disabled_at IS NOT NULL;
