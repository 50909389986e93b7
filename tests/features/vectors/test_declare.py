"""A definition is sound or refused when it is read, and every definition is reviewed as text."""

import narwhals as nw
import pytest

from vouch.features.errors import DefinitionError
from vouch.features.vectors.aggregates import PREVIOUS, count, growth, largest
from vouch.features.vectors.build import describe, feature_definition_lines, feature_names
from vouch.features.vectors.declare import FEATURES, column, derived, feature, load_families

RELIED_ON = (
    "is_subscribed", "has_ever_subscribed", "is_leaving", "announced_end_days", "days_since_activity",
    "has_ever_bought", "tenure_days",
)  # fmt: skip


def test_one_definition_gives_one_feature_per_window(register):
    @feature("usage_events", days=(7, None), unit="events")
    def events(rows):
        """Events in the {days} days before."""
        return count()

    assert list(register) == ["events_7d", "events_lifetime"]
    assert [f.description for f in register.values()] == ["Events in the 7 days before.", "Events so far."]
    assert [f.window_days for f in register.values()] == [7, None]
    assert {f.family for f in register.values()} == {"test_declare"}


def test_one_definition_gives_one_feature_per_value(register):
    @feature("touches", days=(28,), each=("sales", "service"), unit="touches")
    def touches(rows, kind):
        """Contacts for {each} in the {days} days before."""
        return count(rows.kind == kind)

    assert {name: f.description for name, f in register.items()} == {
        "touches_sales_28d": "Contacts for sales in the 28 days before.",
        "touches_service_28d": "Contacts for service in the 28 days before.",
    }


def test_a_definition_without_windows_is_named_like_its_function(register):
    @feature("usage_events", unit="events")
    def events(rows):
        """Events."""
        return count()

    assert list(register) == ["events"]


def test_what_a_definition_needs_is_recorded_through_computed_columns(register):
    @column("tickets")
    def was_quick(rows):
        """Whether the wait was short."""
        return rows.wait_s < 60

    @feature("tickets", unit="tickets")
    def quick(rows):
        """Quick tickets."""
        return count(rows.was_quick & rows.optional("is_reopened"))

    assert register["quick"].needs == {"wait_s", "customer_id"}
    assert register["quick"].reads == {"was_quick", "is_reopened"}


def test_an_unknown_column_is_refused_with_the_nearest_name(register):
    with pytest.raises(DefinitionError, match=r"has no column 'amonut' \(did you mean 'amount'\?\)"):

        @feature("transactions", unit="money")
        def broken(rows):
            """Money."""
            return largest(rows.amonut)

    with pytest.raises(DefinitionError, match=r"has no column 'disount' \(did you mean 'discount'\?\)"):

        @feature("transactions", unit="money")
        def broken_too(rows):
            """Money."""
            return largest(rows.optional("disount"))


def test_polarity_stands_only_where_there_are_texts(register):
    with pytest.raises(DefinitionError, match="no column 'polarity'"):

        @feature("tickets", unit="polarity")
        def broken(rows):
            """Tone."""
            return largest(rows.polarity)


def test_an_unknown_table_is_refused_with_the_nearest_name(register):
    with pytest.raises(DefinitionError, match=r"no table 'ticket' \(did you mean 'tickets'\?\)"):

        @feature("ticket", unit="tickets")
        def broken(rows):
            """Tickets."""
            return count()


def test_a_definition_without_words_is_refused(register):
    with pytest.raises(DefinitionError, match="has no docstring"):

        @feature("tickets", unit="tickets")
        def silent(rows):
            return count()

    with pytest.raises(DefinitionError, match="has no docstring"):

        @derived(unit="tickets")
        def silent_too(vector):
            return vector.tickets


def test_a_windowed_definition_says_its_window(register):
    with pytest.raises(DefinitionError, match=r"does not say 'in the {days} days before'"):

        @feature("tickets", days=(7,), unit="tickets")
        def vague(rows):
            """Tickets lately."""
            return count()


def test_a_name_is_defined_once(register):
    def define_it():
        @feature("tickets", unit="tickets")
        def tickets(rows):
            """Tickets."""
            return count()

    define_it()
    with pytest.raises(DefinitionError, match="'tickets' is defined twice"):
        define_it()


def test_a_computed_column_does_not_hide_another(register):
    with pytest.raises(DefinitionError, match="has a column 'status' already"):

        @column("surveys")
        def status(rows):
            """Status."""
            return rows.score


@pytest.mark.parametrize("days", [0, -7])
def test_a_window_lasts_at_least_a_day(register, days):
    with pytest.raises(DefinitionError, match="not above 0 days"):

        @feature("tickets", days=(days,), unit="tickets")
        def tickets(rows):
            """Tickets in the {days} days before."""
            return count()


def test_a_lifetime_has_no_window_before_it(register):
    with pytest.raises(DefinitionError, match="no previous window"):

        @feature("tickets", days=(None,), unit="log ratio")
        def tickets_growth(rows):
            """Growth of tickets in the {days} days before."""
            return growth(count(), count(window=PREVIOUS))


def test_a_derived_feature_uses_features_that_exist(register):
    @feature("tickets", unit="tickets")
    def tickets(rows):
        """Tickets."""
        return count()

    @derived(unit="tickets")
    def twice(vector):
        """Twice the tickets."""
        return vector.tikets * 2

    with pytest.raises(DefinitionError, match=r"uses 'tikets', which is not defined \(did you mean 'tickets'\?\)"):
        load_families()


def test_derived_features_do_not_go_in_circles(register):
    @derived(unit="none")
    def chicken(vector):
        """Chicken."""
        return vector.egg

    @derived(unit="none")
    def egg(vector):
        """Egg."""
        return vector.chicken

    with pytest.raises(DefinitionError, match="circle: chicken, egg"):
        load_families()


def test_the_order_of_the_vector_does_not_depend_on_what_was_imported_first():
    names = feature_names()
    later_first = sorted(FEATURES.items(), key=lambda item: item[1].family, reverse=True)
    FEATURES.clear()
    FEATURES.update(later_first)
    assert feature_names() == names


def test_names_that_labels_and_eligibility_rely_on_are_there():
    assert set(RELIED_ON) <= set(feature_names())


def test_birth_year_and_gender_are_sensitive():
    assert {"birth_year", "gender"} <= {f.name for f in load_families().values() if f.is_sensitive}


def test_the_dictionary_has_a_row_per_feature_with_words_for_people():
    rows = describe()
    assert [row["name"] for row in rows] == feature_names()
    for row in rows:
        assert row["description"][0].isupper(), row
        assert row["description"].endswith("."), row
        assert "\n" not in row["description"], row
        assert "{" not in row["description"], row
        assert len(row["description"]) <= 120, row
        assert row["unit"], row


def test_each_definition_reads_as_one_line():
    assert all("\n" not in line and "object at" not in line for line in feature_definition_lines())
    assert isinstance(nw.col("a") + 1, nw.Expr)
