"""The services of the suite `toolenv`: their words, tools and rules. The training and the held-out ones share none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extra:
    """The second thing a customer may ask for.

    Attributes:
        tool: the tool that does it; its arguments are the id of what it changes, and `field`.
        on_record: whether it changes the record or the person.
        values: what may be asked for; empty for telephone numbers.
        asked: as the customer says it, after "please".
        done: as the agent says that it is done.
    """

    tool: str
    field: str
    on_record: bool
    values: tuple[str, ...]
    asked: str
    done: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A service with people, records and tools.

    Attributes:
        name: its template name.
        orgs, desk: who the agent works for, and where.
        person, record, records: what these are called.
        find, verify, listing, read, act, case, gift, article: tool names.
        person_key, record_key, record_prefix: the names of ids, and how those of records begin.
        thing_field, thing_word, things: what tells the records of a person apart.
        target_field, targets: what is changed, and to what; no targets means a date.
        asked: the first request, after "please".
        done: how it is said to be done.
        decider, levels: the field on which the fee depends, and its values, dearest first.
        base, amount: the fields that hold the price and the fee.
        fee_rule: the beginning of the sentence that tells the shares.
        flags: reasons why a record must not be changed.
        case_word: what is opened then.
        gift_word: what must not be given away.
        extras: what else may be asked for.
        topics: articles of the handbook.
    """

    name: str
    orgs: tuple[str, ...]
    desk: str
    person: str
    record: str
    records: str
    find: str
    verify: str
    listing: str
    read: str
    act: str
    case: str
    gift: str
    article: str
    person_key: str
    record_key: str
    record_prefix: str
    thing_field: str
    thing_word: str
    things: tuple[str, ...]
    target_field: str
    targets: tuple[str, ...]
    asked: str
    done: tuple[str, ...]
    decider: str
    levels: tuple[str, str, str]
    base: str
    prices: tuple[int, int]
    amount: str
    fee_rule: str
    flags: tuple[str, ...]
    case_word: str
    gift_word: str
    extras: tuple[Extra, ...]
    topics: Mapping[str, str]


TRAINING = (
    Service(
        name="hotel",
        orgs=("Hotel Lindner Park", "the Seaview Hotels", "Alpenhof Hotels"),
        desk="the reservations office of a small group of hotels",
        person="guest",
        record="reservation",
        records="reservations",
        find="find_guest",
        verify="verify_guest",
        listing="list_reservations",
        read="get_reservation",
        act="move_reservation",
        case="ask_duty_manager",
        gift="grant_voucher",
        article="house_rules",
        person_key="guest_id",
        record_key="reservation_id",
        record_prefix="RS",
        thing_field="house",
        thing_word="stay in {thing}",
        things=("Salzburg", "Bruges", "Porto", "Ghent", "Verona", "Tallinn", "Cork", "Graz"),
        target_field="arrival",
        targets=(),
        asked="move my stay in {thing} so that I arrive on {target}",
        done=(
            "Your stay in {thing} now begins on {target}; moving it costs {amount}.",
            "The stay in {thing} has been moved to {target} for a fee of {amount}.",
        ),
        decider="rate_plan",
        levels=("saver", "classic", "flexible"),
        base="price",
        prices=(180, 900),
        amount="moving_fee",
        fee_rule="Moving a reservation costs a share of its price, by rate plan",
        flags=("group contract", "payment disputed"),
        case_word="request to the duty manager",
        gift_word="a voucher",
        extras=(
            Extra(
                "set_phone",
                "phone",
                False,
                (),
                "put my new telephone number on file: {value}",
                (
                    "Your telephone number on file is {value} now.",
                    "We have {value} as your telephone number now.",
                ),
            ),
            Extra(
                "set_breakfast",
                "breakfast",
                True,
                ("none", "continental", "full", "vegan"),
                "change the breakfast for that stay to: {value}",
                ("Breakfast for the stay is set to: {value}.", "For breakfast I have put down: {value}."),
            ),
            Extra(
                "set_arrival_time",
                "arrival_time",
                True,
                ("17:00", "19:30", "21:00", "22:30", "23:15"),
                "note that I will come in at {value} that day",
                ("Your arrival is noted for {value}.", "The desk expects you at {value}."),
            ),
        ),
        topics={
            "pets": "Dogs up to 20 kg may stay in ground floor rooms. The charge is EUR 15 a night, paid on site.",
            "parking": "Parking is free for the first night; after that EUR 12 a night. Spaces cannot be reserved.",
            "check-in": "Rooms are ready from 15:00. Before that, luggage can be left at the reception.",
        },
    ),
    Service(
        name="library",
        orgs=("the Northgate Library", "the Riverside City Library", "the Halden Public Library"),
        desk="the loans desk of a public library",
        person="reader",
        record="loan",
        records="loans",
        find="search_readers",
        verify="check_reader",
        listing="reader_loans",
        read="open_loan",
        act="extend_loan",
        case="refer_to_librarian",
        gift="waive_all_charges",
        article="library_help",
        person_key="reader_id",
        record_key="loan_id",
        record_prefix="LN",
        thing_field="title",
        thing_word='loan of "{thing}"',
        things=(
            "The Glass Orchard",
            "A History of Salt",
            "Harbour Lights",
            "Winter Gardens",
            "The Mapmaker",
            "Notes on Birds",
            "Small Engines",
            "Letters from Oran",
        ),
        target_field="due_date",
        targets=(),
        asked='extend my loan of "{thing}" until {target}',
        done=(
            'Your loan of "{thing}" is due on {target} now, and the charge for it is {amount}.',
            'I have extended "{thing}" to {target}; that costs {amount}.',
        ),
        decider="card",
        levels=("day card", "standard card", "family card"),
        base="value",
        prices=(20, 90),
        amount="extension_charge",
        fee_rule="Extending a loan from another library costs a share of the value of the book, by card",
        flags=("reserved by another reader", "recalled by lending library"),
        case_word="referral to the librarian",
        gift_word="a waiver of charges",
        extras=(
            Extra(
                "set_pickup_branch",
                "pickup_branch",
                False,
                ("Central", "Millbrook", "Eastfield", "Station Road"),
                "make {value} my branch for picking up books",
                ("Your branch for pick-up is {value} from now on.", "Books will wait for you at {value}."),
            ),
            Extra(
                "set_reader_phone",
                "phone",
                False,
                (),
                "note my new number, {value}",
                ("Your number is noted as {value}.", "Under telephone I have entered {value}."),
            ),
            Extra(
                "set_notices",
                "notices",
                False,
                ("by letter", "by e-mail", "by text message"),
                "send my notices {value}",
                ("Your notices will come {value}.", "Notices are sent {value} from today."),
            ),
        ),
        topics={
            "opening hours": "Monday to Friday 9:00 to 19:00, Saturday 10:00 to 16:00. Closed on public holidays.",
            "lost books": "A lost book is charged at its value plus EUR 5. A copy of the same edition is accepted.",
            "printing": "Prints are EUR 0.10 a page. Readers under 18 have 20 pages a month for free.",
        },
    ),
    Service(
        name="helpdesk",
        orgs=("Corvane Hosting", "Bluefin IT Services", "Tamarack Systems"),
        desk="the IT helpdesk for business customers",
        person="customer",
        record="account",
        records="accounts",
        find="lookup_customer",
        verify="confirm_identity",
        listing="customer_accounts",
        read="account_details",
        act="set_storage",
        case="open_ticket",
        gift="add_credit",
        article="knowledge_base",
        person_key="customer_id",
        record_key="account_id",
        record_prefix="AC",
        thing_field="share_name",
        thing_word="file share {thing}",
        things=("atlas", "beacon", "cobalt", "delta", "ember", "fjord", "granite", "harbor"),
        target_field="storage",
        targets=("100 GB", "150 GB", "200 GB", "250 GB", "300 GB", "500 GB", "750 GB"),
        asked="set the storage of our file share {thing} to {target}",
        done=(
            "The file share {thing} has {target} now, at an extra charge of {amount} a month.",
            "Storage of {thing} is set to {target}; this adds {amount} to the monthly bill.",
        ),
        decider="contract",
        levels=("starter", "team", "enterprise"),
        base="monthly_price",
        prices=(40, 260),
        amount="monthly_extra",
        fee_rule="A change of storage costs a share of the monthly price each month, by contract",
        flags=("legal hold", "migration in progress"),
        case_word="ticket for the second level",
        gift_word="a credit",
        extras=(
            Extra(
                "set_backup_time",
                "backup_time",
                True,
                ("01:00", "02:30", "04:00", "22:00", "23:30"),
                "let its backup start at {value}",
                ("Its backup starts at {value} now.", "The backup is scheduled for {value}."),
            ),
            Extra(
                "set_contact_phone",
                "phone",
                False,
                (),
                "change my contact number to {value}",
                ("Your contact number was changed to {value}.", "We reach you under {value} from now on."),
            ),
            Extra(
                "set_alerts",
                "alerts",
                True,
                ("off", "daily", "weekly", "at 90 percent"),
                "set its alerts to: {value}",
                ("Alerts for it are set to: {value}.", "The alert setting is: {value}."),
            ),
        ),
        topics={
            "passwords": "Passwords are reset in the portal under Security. A reset link is valid for 30 minutes.",
            "restore": "Files can be restored from the last 14 nightly backups. Larger restores take some hours.",
            "vpn": "The client needs version 5.2 or later. Older clients are turned away by the gateway.",
        },
    ),
)

HELD_OUT = (
    Service(
        name="airline",
        orgs=("Meridian Air", "Northwind Airways", "Calder Airlines"),
        desk="the customer desk of an airline",
        person="passenger",
        record="booking",
        records="bookings",
        find="search_passengers",
        verify="authenticate_passenger",
        listing="get_bookings",
        read="retrieve_booking",
        act="rebook_flight",
        case="escalate_booking",
        gift="issue_travel_credit",
        article="travel_info",
        person_key="passenger_id",
        record_key="booking_ref",
        record_prefix="FL",
        thing_field="destination",
        thing_word="flight to {thing}",
        things=("Lisbon", "Oslo", "Athens", "Dublin", "Prague", "Naples", "Malaga", "Helsinki"),
        target_field="flight_date",
        targets=(),
        asked="rebook my flight to {thing} to {target}",
        done=(
            "You are now flying to {thing} on {target}, with a change fee of {amount}.",
            "Your flight to {thing} has been rebooked for {target}. The change fee comes to {amount}.",
            "I have rebooked the {thing} flight: the new date is {target} and the fee {amount}.",
        ),
        decider="fare",
        levels=("Light", "Classic", "Flex"),
        base="ticket_price",
        prices=(90, 640),
        amount="change_fee",
        fee_rule="Rebooking is charged as a percentage of the ticket price depending on the fare",
        flags=("chargeback under review", "medical clearance pending"),
        case_word="case with the back office",
        gift_word="travel credit",
        extras=(
            Extra(
                "select_meal",
                "meal",
                True,
                ("vegetarian", "gluten-free", "halal", "kosher", "standard"),
                "order me a {value} meal on it",
                ("A {value} meal has been ordered.", "The meal on board will be {value}."),
            ),
            Extra(
                "add_baggage",
                "checked_bags",
                True,
                ("1", "2", "3", "4"),
                "set the number of checked bags on it to {value}",
                ("Checked bags on the booking: {value}.", "The booking includes checked bags: {value}."),
            ),
            Extra(
                "update_mobile",
                "mobile",
                False,
                (),
                "update my mobile to {value}",
                ("Your mobile number has been updated to {value}.", "Flight alerts will go to {value}."),
            ),
        ),
        topics={
            "hand luggage": "One piece up to 8 kg and 55 x 40 x 23 cm is included in every fare. A small bag is extra.",
            "lounge": "Lounges open two hours before the first departure. Day passes are EUR 32 at the door.",
            "infants": "Infants under two travel on a lap for 10 percent of the fare. A cot must be requested.",
            "visas": "Passengers are responsible for their own visas. The desk cannot advise on single cases.",
        },
    ),
    Service(
        name="pharmacy",
        orgs=("Oakwell Pharmacy", "Kestrel Pharmacies", "Marlow & Finch Pharmacy"),
        desk="the prescription line of a pharmacy",
        person="patient",
        record="prescription",
        records="prescriptions",
        find="find_patient_by_name",
        verify="match_patient",
        listing="prescription_overview",
        read="prescription_record",
        act="schedule_refill",
        case="notify_pharmacist",
        gift="apply_discount",
        article="leaflet",
        person_key="patient_no",
        record_key="rx_no",
        record_prefix="RX",
        thing_field="medicine",
        thing_word="{thing} prescription",
        things=(
            "metformin",
            "lisinopril",
            "atorvastatin",
            "levothyroxine",
            "amlodipine",
            "omeprazole",
            "sertraline",
            "losartan",
        ),
        target_field="pickup_date",
        targets=(),
        asked="schedule the refill of my {thing} for pickup on {target}",
        done=(
            "The refill of {thing} is scheduled for pickup on {target}; your co-payment is {amount}.",
            "You can pick up your {thing} on {target}. The co-payment amounts to {amount}.",
        ),
        decider="plan",
        levels=("Bronze", "Silver", "Gold"),
        base="list_price",
        prices=(18, 160),
        amount="copay",
        fee_rule="The co-payment for a refill is a percentage of the list price set by the patient's plan",
        flags=("interaction warning", "prescriber approval required"),
        case_word="message to the pharmacist",
        gift_word="a discount",
        extras=(
            Extra(
                "set_collection_branch",
                "branch",
                False,
                ("High Street", "Mill Lane", "Quayside", "Abbey Road"),
                "switch my collection branch to {value}",
                ("Your collection branch has been switched to {value}.", "Collection is now at {value}."),
            ),
            Extra(
                "set_packaging",
                "packaging",
                True,
                ("blister pack", "easy-open bottle", "weekly organiser", "child-proof bottle"),
                "have it packed as: {value}",
                ("It will be packed as: {value}.", "Packaging on the prescription: {value}."),
            ),
            Extra(
                "update_reminder_number",
                "reminder_number",
                False,
                (),
                "send reminders to {value} from now on",
                ("Reminders will now be sent to {value}.", "The reminder number is {value}."),
            ),
        ),
        topics={
            "storage": "Most tablets are kept below 25 degrees and dry. Insulin in use may stay out for four weeks.",
            "returns": "Medicines cannot be taken back for resale. Unused ones may be left for safe disposal.",
            "vaccines": "Flu vaccinations are given on weekdays from 10:00 to 16:00 without an appointment.",
            "delivery": "Deliveries leave at noon on working days. Cold-chain items are excluded.",
        },
    ),
    Service(
        name="parcels",
        orgs=("Swiftway Parcels", "Harrier Express", "Polar Post"),
        desk="the customer service of a parcel carrier",
        person="recipient",
        record="shipment",
        records="shipments",
        find="find_recipient",
        verify="validate_recipient",
        listing="shipments_for_recipient",
        read="track_shipment",
        act="redirect_shipment",
        case="raise_claim_case",
        gift="refund_postage",
        article="faq",
        person_key="recipient_id",
        record_key="shipment_no",
        record_prefix="SH",
        thing_field="sender",
        thing_word="parcel from {thing}",
        things=(
            "Brandt Books",
            "Tilly's Yarn",
            "Nordlicht Lamps",
            "Casa Verde",
            "Velo Parts Ltd",
            "Greenleaf Tea",
            "Studio Marek",
            "Pixel Camera",
        ),
        target_field="drop_point",
        targets=(
            "Linden Kiosk",
            "Harbour Newsagent",
            "Corner Bakery",
            "Locker 12 Main Station",
            "Locker 21 Main Station",
            "Westend Flowers",
        ),
        asked="redirect the parcel from {thing} to {target}",
        done=(
            "The parcel from {thing} is on its way to {target} now, for a surcharge of {amount}.",
            "I have redirected the {thing} parcel to {target}; the surcharge is {amount}.",
        ),
        decider="service_level",
        levels=("Economy", "Priority", "Premium"),
        base="postage",
        prices=(6, 60),
        amount="surcharge",
        fee_rule="A redirection costs a percentage of the postage according to the service level",
        flags=("held by customs", "damage report open"),
        case_word="claim case",
        gift_word="a refund of postage",
        extras=(
            Extra(
                "set_delivery_signature",
                "signature",
                True,
                ("not required", "recipient only", "any adult"),
                "set its signature option to: {value}",
                ("The signature option is now: {value}.", "Signature on handover: {value}."),
            ),
            Extra(
                "set_sms_number",
                "sms_number",
                False,
                (),
                "text updates to {value} instead of my old number",
                ("Updates will be texted to {value}.", "The number for text updates is now {value}."),
            ),
            Extra(
                "set_safe_place",
                "safe_place",
                False,
                ("garage", "garden shed", "porch", "neighbour at no. 4", "neighbour at no. 14"),
                "register {value} as my safe place for other deliveries",
                (
                    "Your registered safe place is: {value}.",
                    "For other deliveries the safe place is: {value}.",
                ),
            ),
        ),
        topics={
            "sizes": "Parcels may measure up to 120 cm on the longest side and weigh up to 31.5 kg.",
            "collection": "A parcel waits at a drop point for seven days and then goes back to its sender.",
            "insurance": "Every shipment is insured up to EUR 500. Higher values must be declared when posting.",
            "complaints": "Complaints are answered within five working days. Photos of the parcel help.",
        },
    ),
)
