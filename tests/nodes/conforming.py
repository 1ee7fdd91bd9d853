"""The conformance suite for one service that is not registered, such as an example of a page."""

from area.nodes import sdk
from tests.nodes import test_conformance as declared
from tests.nodes import test_conformance_calls as calls
from tests.nodes import test_conformance_deliveries as deliveries
from tests.nodes.rig import probes, speaks_http


async def conforms(service: sdk.Service) -> None:
    """Raise AssertionError unless the service keeps what every service must."""
    declared.test_service_describes_itself(service)
    declared.test_consent_is_asked_for_properly(service)
    declared.test_typed_in_credentials_are_described_and_masked(service)
    for node in (*service.actions.values(), *service.reactions.values()):
        declared.test_node_describes_itself(node)
        declared.test_fields_have_title_description_and_example(node)
        declared.test_schemas_are_valid_and_inputs_are_closed(node)
        declared.test_sample_round_trips(node)
        declared.test_markers_are_declared_on_fields_that_exist(node)
        declared.test_examples_are_valid_inputs(node)
        declared.test_choices_can_be_asked_for(node)
        declared.test_scopes_are_asked_for_where_there_is_consent(node)
    for reaction in service.reactions.values():
        declared.test_reaction_declares_idempotency_and_a_bounded_timeout(reaction)
        declared.test_templates_are_taken_where_they_are_allowed(reaction)
    for action in service.actions.values():
        declared.test_action_declares_what_its_delivery_needs(action)
        if action.delivery is sdk.Delivery.WEBHOOK:
            deliveries.test_strange_deliveries_break_no_action(action)
            deliveries.test_a_stranger_s_probe_is_not_confirmed(action)
            if action.verify:
                deliveries.test_only_what_the_sender_signed_is_taken(action.verify)
    if service.entrance:
        deliveries.test_strange_deliveries_break_no_endpoint(service)
        deliveries.test_only_what_the_sender_signed_is_taken(service.entrance.verify)
    if speaks_http(service):
        await _calls(service)


async def _calls(service: sdk.Service) -> None:
    for status in (200, 204, 400, 401, 403, 404, 429, 500, 503):
        calls.test_judges_read_anything(service, status)
    for probe in probes(service):
        await calls.test_refusals_mean_what_the_engine_must_do(probe)
        await calls.test_refusals_that_the_status_does_not_say(probe)
        await calls.test_no_answer_is_never_taken_for_nothing_happened(probe)
        for what in calls.NONSENSE:
            await calls.test_nonsense_breaks_no_node(probe, what)
