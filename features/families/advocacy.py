"""Advocacy: what a customer did for the company, asked or not, and how the company asked, treated and thanked.

What is an organic act, and which referrals are valid, stands in `facts`; of several to one prospect the first is the
referral, and a conversion on any of them counts.
"""

from __future__ import annotations

import narwhals as nw

from vouch.features.contract.tables import ACT_KINDS
from vouch.features.facts.acts import is_asked, is_organic, is_prompted, is_rewarded
from vouch.features.facts.referrals import is_valid
from vouch.features.vectors.declare import Aggregate, Rows, column, count, days_since, distinct, feature, share, total

COUNTED_KINDS = tuple(kind for kind in ACT_KINDS if kind != "community_answer")
"""Answers in the community have their own features in the family of that name."""


@column("advocacy_acts")
def is_rewarded_act(rows: Rows) -> nw.Expr:
    """Whether the act was rewarded."""
    return is_rewarded(rows.optional("is_incentivised"))


@column("advocacy_acts")
def is_asked_act(rows: Rows) -> nw.Expr:
    """Whether the company asked for the act."""
    return is_asked(rows.optional("ask_id"))


@column("advocacy_acts")
def is_organic_act(rows: Rows) -> nw.Expr:
    """Whether the act was neither asked for nor rewarded."""
    return is_organic(rows.is_rewarded_act, rows.is_asked_act)


@feature("advocacy_acts", days=(365, None), unit="acts")
def advocacy_acts(rows: Rows) -> Aggregate:
    """Acts of speaking up for the company in the {days} days before."""
    return count()


@feature("advocacy_acts", days=(90, 365, None), unit="acts")
def organic_acts(rows: Rows) -> Aggregate:
    """Acts of speaking up, neither asked for nor rewarded, in the {days} days before."""
    return count(rows.is_organic_act)


@feature("advocacy_acts", days=(365,), unit="acts")
def prompted_acts(rows: Rows) -> Aggregate:
    """Acts of speaking up, asked for and not rewarded, in the {days} days before."""
    return count(is_prompted(rows.is_rewarded_act, rows.is_asked_act))


@feature("advocacy_acts", days=(365,), unit="acts")
def incentivised_acts(rows: Rows) -> Aggregate:
    """Acts of speaking up for a reward in the {days} days before."""
    return count(rows.is_rewarded_act)


@feature("advocacy_acts", days=(365,), each=COUNTED_KINDS, unit="acts")
def acts(rows: Rows, kind: str) -> Aggregate:
    """Acts of the kind {each} in the {days} days before."""
    return count(rows.kind == kind)


@feature("advocacy_acts", days=(None,), unit="kinds")
def act_kinds(rows: Rows) -> Aggregate:
    """Kinds of act of speaking up in the {days} days before."""
    return distinct(rows.kind)


@feature("advocacy_acts", days=(365,), unit="people")
def act_reach(rows: Rows) -> Aggregate:
    """People reached by acts of speaking up in the {days} days before."""
    return total(rows.reach)


@feature("advocacy_acts", unit="days")
def days_since_act(rows: Rows) -> Aggregate:
    """Days since the latest act of speaking up."""
    return days_since(rows.own_us)


@feature("advocacy_acts", unit="days")
def days_since_organic_act(rows: Rows) -> Aggregate:
    """Days since the latest act of speaking up that was neither asked for nor rewarded."""
    return days_since(rows.own_us, rows.is_organic_act)


@column("referrals")
def is_valid_referral(rows: Rows) -> nw.Expr:
    """Whether the prospect is somebody else, and the referral is not known as fraud."""
    return is_valid(rows.advocate_id, rows.prospect_id, rows.optional("is_fraud"))


@column("referrals")
def is_first_invitation(rows: Rows) -> nw.Expr:
    """Whether the referral is the first valid one of the customer to this prospect."""
    return rows.is_valid_referral & (rows.number(rows.is_valid_referral, "prospect_id") == 1)


@column("referrals")
def is_valued_once(rows: Rows) -> nw.Expr:
    """Whether the row has what the prospect first ordered; the first of the valid ones that have it."""
    has_value = rows.is_valid_referral & ~rows.first_value.is_null()
    return has_value & (rows.number(has_value, "prospect_id") == 1)


@feature("referrals", by="advocate_id", days=(365, None), unit="referrals")
def referrals(rows: Rows) -> Aggregate:
    """Prospects invited by valid referrals in the {days} days before."""
    return count(rows.is_first_invitation)


@feature("referrals", by="advocate_id", days=(365,), unit="referrals")
def organic_referrals(rows: Rows) -> Aggregate:
    """Prospects invited by valid referrals without a reward in the {days} days before."""
    return count(rows.is_first_invitation & ~is_rewarded(rows.optional("is_incentivised")))


@feature("referrals", by="advocate_id", unit="referrals")
def referrals_invalid(rows: Rows) -> Aggregate:
    """Referrals to oneself, or known as fraud."""
    return count(~rows.is_valid_referral)


@feature("referrals", by="advocate_id", unit="referrals")
def referrals_clicked(rows: Rows) -> Aggregate:
    """Prospects invited by valid referrals who followed the link."""
    return distinct(rows.prospect_id, rows.is_valid_referral & ~rows.clicked_us.is_null())


@feature("referrals", by="advocate_id", unit="referrals")
def referrals_signed_up(rows: Rows) -> Aggregate:
    """Prospects invited by valid referrals who signed up."""
    return distinct(rows.prospect_id, rows.is_valid_referral & ~rows.signed_up_us.is_null())


@feature("referrals", by="advocate_id", days=(None,), unit="referrals")
def referrals_converted(rows: Rows) -> Aggregate:
    """Prospects invited by valid referrals in the {days} days before who became customers."""
    return distinct(rows.prospect_id, rows.is_valid_referral & ~rows.converted_us.is_null())


@feature("referrals", by="advocate_id", unit="share")
def referral_conversion_share(rows: Rows) -> Aggregate:
    """Share of prospects invited by valid referrals who became customers."""
    became = distinct(rows.prospect_id, rows.is_valid_referral & ~rows.converted_us.is_null())
    return became / distinct(rows.prospect_id, rows.is_valid_referral)


@feature("referrals", by="advocate_id", unit="money")
def referral_value(rows: Rows) -> Aggregate:
    """First orders of prospects who became customers by valid referrals."""
    return total(rows.first_value, rows.is_valued_once)


@feature("referrals", by="advocate_id", unit="days")
def days_since_referral(rows: Rows) -> Aggregate:
    """Days since the latest valid referral."""
    return days_since(rows.own_us, rows.is_first_invitation)


@feature("referrals", by="advocate_id", unit="days")
def days_since_referral_conversion(rows: Rows) -> Aggregate:
    """Days since a referred prospect last became a customer."""
    return days_since(rows.converted_us, rows.is_valid_referral)


@column("asks")
def outcome_known_us(rows: Rows) -> nw.Expr:
    """When the outcome of an ask came; where no date was given, the date of the ask."""
    return nw.when(~rows.outcome.is_null()).then(nw.coalesce(rows.optional("outcome_us"), rows.own_us))


@feature("asks", days=(90, 365), unit="asks")
def asks(rows: Rows) -> Aggregate:
    """Times asked to speak up in the {days} days before."""
    return count()


@feature("asks", each=("accepted", "declined", "ignored"), unit="asks")
def asks_with_outcome(rows: Rows, outcome: str) -> Aggregate:
    """Asks to speak up that were {each}."""
    return count(rows.outcome == outcome)


@feature("asks", unit="share")
def ask_acceptance_share(rows: Rows) -> Aggregate:
    """Share accepted of the asks to speak up whose outcome is known."""
    return share(rows.outcome == "accepted")


@feature("asks", unit="asks")
def asks_open(rows: Rows) -> Aggregate:
    """Asks to speak up without an outcome."""
    return count(rows.outcome.is_null())


@feature("asks", unit="days")
def days_since_ask(rows: Rows) -> Aggregate:
    """Days since the customer was last asked to speak up."""
    return days_since(rows.own_us)


@feature("asks", unit="days")
def days_since_refusal(rows: Rows) -> Aggregate:
    """Days since the customer last declined to speak up."""
    return days_since(rows.outcome_known_us, rows.outcome == "declined")


@feature("asks", unit="days")
def days_since_acceptance(rows: Rows) -> Aggregate:
    """Days since the customer last agreed to speak up."""
    return days_since(rows.outcome_known_us, rows.outcome == "accepted")


@feature("touches", days=(90,), each=("service", "sales", "marketing"), unit="touches")
def touches(rows: Rows, kind: str) -> Aggregate:
    """Contacts for {each} in the {days} days before."""
    return count(rows.kind == kind)


@feature("touches", days=(365,), unit="share")
def touches_personalised_share(rows: Rows) -> Aggregate:
    """Share of contacts that were personal in the {days} days before."""
    return share(rows.is_personalised)


@feature("touches", days=(365,), unit="share")
def touches_accepted_share(rows: Rows) -> Aggregate:
    """Share of contacts with an offer that was accepted in the {days} days before."""
    return share(rows.is_accepted)


@feature("touches", unit="days")
def days_since_touch(rows: Rows) -> Aggregate:
    """Days since the latest contact."""
    return days_since(rows.own_us)


@feature("treatments", days=(365,), unit="campaigns")
def campaigns_treated(rows: Rows) -> Aggregate:
    """Campaigns that treated the customer in the {days} days before."""
    return distinct(rows.campaign, rows.arm == "treated")


@feature("treatments", unit="days")
def days_since_treatment(rows: Rows) -> Aggregate:
    """Days since a campaign last treated the customer."""
    return days_since(rows.own_us, rows.arm == "treated")


@feature("recognitions", days=(365,), unit="recognitions")
def recognitions(rows: Rows) -> Aggregate:
    """Thanks and recognition given in the {days} days before."""
    return count()


@feature("recognitions", unit="days")
def days_since_recognition(rows: Rows) -> Aggregate:
    """Days since thanks or recognition was last given."""
    return days_since(rows.own_us)
