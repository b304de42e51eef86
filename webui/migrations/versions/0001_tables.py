"""The tables as they were made before their changes were numbered.

Each is made only where it is missing: a database from then is taken over as it stands.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables that are missing."""
    op.create_table(
        "gas_idempotency_key",
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("claim", sa.String(length=32), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_id", sa.String(length=36), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("content_type", sa.String(length=100), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key_digest"),
        if_not_exists=True,
    )
    op.create_index("ix_gas_idempotency_key_expires_at", "gas_idempotency_key", ["expires_at"], if_not_exists=True)
    op.create_table(
        "gas_share_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_digest"),
        if_not_exists=True,
    )
    op.create_index("ix_gas_share_link_expires_at", "gas_share_link", ["expires_at"], if_not_exists=True)
    op.create_index("ix_gas_share_link_job_id", "gas_share_link", ["job_id"], if_not_exists=True)
    op.create_table(
        "gas_stripe_account",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("customer_id", sa.String(length=255), nullable=True),
        sa.Column("checkout_id", sa.String(length=255), nullable=True),
        sa.Column("checkouts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
        if_not_exists=True,
    )
    op.create_table(
        "gas_stripe_event",
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        if_not_exists=True,
    )
    op.create_index("ix_gas_stripe_event_received_at", "gas_stripe_event", ["received_at"], if_not_exists=True)
    op.create_table(
        "gas_stripe_subscription",
        sa.Column("subscription_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("subscription_id"),
        if_not_exists=True,
    )
    op.create_index("ix_gas_stripe_subscription_user_id", "gas_stripe_subscription", ["user_id"], if_not_exists=True)
    op.create_table(
        "gas_web_session",
        sa.Column("id_digest", sa.String(length=64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id_digest"),
        if_not_exists=True,
    )
    op.create_index("ix_gas_web_session_expires_at", "gas_web_session", ["expires_at"], if_not_exists=True)
    op.create_table(
        "gas_api_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("ab_user_id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.Column("client_name", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["ab_user_id"], ["ab_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_digest"),
        if_not_exists=True,
    )
    op.create_index("ix_gas_api_token_ab_user_id", "gas_api_token", ["ab_user_id"], if_not_exists=True)
    op.create_index("ix_gas_api_token_expires_at", "gas_api_token", ["expires_at"], if_not_exists=True)
    op.create_table(
        "gas_linked_identity",
        sa.Column("ab_user_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sub", sa.String(length=64), nullable=False),
        sa.Column("username", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=200), nullable=False),
        sa.Column("organization", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["ab_user_id"], ["ab_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ab_user_id", "position"),
        if_not_exists=True,
    )
    op.create_table(
        "gas_login_code",
        sa.Column("code_digest", sa.String(length=64), nullable=False),
        sa.Column("ab_user_id", sa.Integer(), nullable=False),
        sa.Column("redirect_uri", sa.String(length=300), nullable=False),
        sa.Column("code_challenge", sa.String(length=43), nullable=False),
        sa.Column("client_name", sa.String(length=100), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ab_user_id"], ["ab_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("code_digest"),
        if_not_exists=True,
    )
    op.create_index("ix_gas_login_code_expires_at", "gas_login_code", ["expires_at"], if_not_exists=True)
