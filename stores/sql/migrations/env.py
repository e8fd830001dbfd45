"""alembic runs this for `stores.sql.migrate`: it hands over each statement and executes none."""

from io import StringIO

from alembic import context


class Statements(StringIO):
    """The file that Alembic writes to, a statement at a time."""

    def write(self, text: str) -> int:
        context.config.attributes["write"](text)
        return len(text)


context.configure(
    dialect_name=context.config.attributes["dialect"],
    output_buffer=Statements(),
    transactional_ddl=False,  # the caller has begun a transaction
    literal_binds=True,
)
with context.begin_transaction():
    context.run_migrations()
