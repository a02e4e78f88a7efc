"""Campaign events of the demo: campaigns that a household received, and coupons that it redeemed.

Both are real. That a campaign came by e-mail is invented: the source says only that the household received it.
"""

from collections.abc import Iterator

from gateway.demo.source import Document, Journey, Row


def campaigns(journey: Journey, tenant: str) -> Iterator[Document]:
    """Yield one event for each campaign and household, then one for each redeemed coupon."""
    described = {row["campaign_id"]: row for row in journey.rows("campaign_descriptions")}
    for row in journey.rows("campaigns"):
        yield _sent(row, described[row["campaign_id"]], tenant)
    for row in journey.rows("coupon_redemptions"):
        yield _redeemed(row, described[row["campaign_id"]], tenant)


def _sent(row: Row, campaign: Row, tenant: str) -> Document:
    """Return the event of a mailing, at midnight of the campaign's first day: the source does not know when it was sent."""
    event = _event(row, campaign, tenant)
    event[f"_{tenant}"]["synthetic"] = ["eventType", "directMarketing"]
    return {
        "_id": f"campaign-{row['campaign_id']}-{row['household_id']}",
        "timestamp": campaign["start_date"],
        "eventType": "directMarketing.emailSent",
        "directMarketing": {"sends": {"value": 1}},
        **event,
    }


def _redeemed(row: Row, campaign: Row, tenant: str) -> Document:
    """Return the event of a redemption, at midnight of its day: the source does not know the hour."""
    day = row["redemption_date"][:10]
    return {
        "_id": f"coupon-{row['coupon_upc']}-{row['campaign_id']}-{row['household_id']}-{day}",
        "timestamp": row["redemption_date"],
        "eventType": "commerce.couponRedemption",
        "commerce": {"promotionID": str(row["coupon_upc"])},
        **_event(row, campaign, tenant),
    }


def _event(row: Row, campaign: Row, tenant: str) -> Document:
    number = row["campaign_id"]
    return {
        "identityMap": {"Household": [{"id": str(row["household_id"]), "primary": True}]},
        "marketing": {
            "campaignID": str(number),
            "campaignName": f"Campaign {number}",
            "campaignGroup": campaign["campaign_type"],
        },
        f"_{tenant}": {"campaign": {"startDate": campaign["start_date"][:10], "endDate": campaign["end_date"][:10]}},
    }
