//! The conformance suite: what every store must do, as facts. A store runs the suite with
//! [`crate::conformance_suite!`].

pub mod answers;
pub mod breakers;
pub mod claiming;
pub mod commits;
pub mod default_payloads;
pub mod due_work;
pub mod fan_outs;
pub mod feeds;
pub mod flow_claims;
pub mod history;
pub mod records;
pub mod replays;
pub mod retention;
pub mod settling;
pub mod stopping;
pub mod tenants;
pub mod webhooks;
mod world;

pub use world::World;

/// Expands to one test per fact. The argument is an `async fn` that takes a case (`FnOnce(Arc<dyn Store>) -> Future`),
/// makes an empty store for it, runs it, and clears up.
///
/// The list names every fact of this folder: `every_fact_of_the_conformance_suite_is_listed` of the architecture tests
/// holds it.
#[macro_export]
macro_rules! conformance_suite {
    ($run:path) => {
        $crate::conformance_cases! { $run,
            commits: [
                a_change_that_fails_half_way_writes_nothing,
                a_version_that_was_read_before_another_write_is_a_conflict,
                creating_what_exists_is_refused,
                a_required_record_that_is_gone_refuses_the_change,
                a_change_over_the_limit_is_refused,
            ],
            answers: [
                an_answer_is_kept_with_its_change,
                a_second_answer_of_a_key_refuses_its_change,
                two_changes_at_once_under_one_key_commit_once,
                two_requests_at_once_under_one_key_commit_once,
                an_answer_past_its_time_is_forgotten_and_replaced,
            ],
            records: [
                a_record_reads_back_as_written,
                a_name_of_another_record_is_refused,
                a_name_that_was_given_up_is_free,
                links_are_replaced_with_their_record,
                linked_keys_come_by_target_and_rank,
                pages_in_every_order_show_each_record_once,
                a_page_of_links_shows_only_their_bearers,
                a_tombstone_keeps_the_record_of_a_delete_event,
                keys_sort_by_bytes,
            ],
            webhooks: [
                a_webhook_reads_back_as_written,
                webhooks_of_one_event_type_are_bounded,
                a_deleted_webhook_is_read_by_id_only,
                webhooks_checked_against_another_schema_are_found,
            ],
            fan_outs: [
                each_status_gets_what_it_shall,
                a_delivery_of_the_fan_out_has_the_id_of_its_event_and_webhook,
                a_deleted_webhook_gets_nothing,
                another_tenants_or_types_webhooks_get_nothing,
                a_synthetic_event_reaches_its_webhook_alone,
                a_test_of_a_recorded_event_is_marked,
            ],
            claiming: [
                a_claim_carries_all_that_sending_needs,
                what_is_due_later_is_not_claimed,
                a_long_backlog_does_not_delay_another_webhook,
                the_cap_per_webhook_counts_what_is_in_flight,
                a_lease_that_ended_is_claimed_with_a_higher_token,
                an_extended_lease_holds_and_tells_nobody,
                a_lease_that_was_lost_is_not_extended,
                a_claim_passes_over_what_its_webhook_holds_back,
                what_is_held_takes_no_event_from_what_is_sent,
                two_claims_at_once_never_share_a_delivery,
                the_next_due_time_is_the_earliest_of_due_and_leases,
                a_released_claim_is_due_at_once,
            ],
            default_payloads: [
                a_claim_freezes_the_payload_of_a_webhook_without_a_query,
                a_query_that_comes_later_changes_no_frozen_payload,
                a_query_that_is_removed_changes_no_frozen_payload,
            ],
            settling: [
                an_old_token_changes_nothing,
                each_of_a_batch_is_settled_for_itself,
                a_frozen_payload_is_never_replaced,
                an_attempt_and_its_state_are_written_together,
                a_text_of_an_answer_is_kept_as_it_came,
                a_retry_waits_for_its_time,
                a_retry_under_a_disabled_webhook_is_cancelled,
                a_retry_under_a_paused_webhook_is_held,
                a_delivery_stands_under_a_deleted_webhook,
                a_gone_receiver_holds_all_that_is_due,
                a_failure_is_noted_and_a_success_forgets_it,
                a_test_leaves_the_webhook_alone,
                a_cancel_in_flight_ends_what_was_not_delivered,
            ],
            due_work: [
                due_work_is_held_released_and_cancelled_together,
                a_retry_makes_an_ended_delivery_due_with_its_payload,
                a_retry_of_a_delivery_that_has_not_ended_is_refused,
                a_retry_under_a_disabled_or_deleted_webhook_is_refused,
                a_retry_under_a_paused_webhook_waits_with_it,
                a_cancelled_delivery_is_never_claimed,
                a_cancel_of_an_ended_delivery_is_refused,
                a_backlog_is_what_is_owed,
            ],
            feeds: [
                every_state_change_is_in_the_feed_in_order,
                a_reader_resumes_by_cursor_without_gap_or_duplicate,
                concurrent_commits_never_appear_behind_a_reader,
                a_filter_moves_the_cursor_past_what_it_leaves_out,
                the_tenants_whose_feeds_moved_are_found_however_few_are_looked_at,
                a_concurrent_commit_is_never_passed_over_by_who_looks_for_moves,
            ],
            flow_claims: [
                a_webhooks_own_concurrency_bounds_what_is_in_flight,
                a_claim_keeps_to_the_limits_of_webhooks,
                a_claim_tells_what_it_left,
                a_claim_names_the_webhooks_that_had_no_room,
                a_claim_takes_no_more_retries_than_it_may,
                a_first_attempt_is_claimed_behind_retries_that_may_not_be,
                retries_that_may_not_be_claimed_hide_no_first_attempts,
                a_retry_of_one_webhook_hides_no_first_attempt_of_another,
                what_is_due_of_deleted_webhooks_takes_no_room_of_what_is_sent,
                a_later_event_of_a_record_waits_for_the_earlier_ones_end,
                the_events_of_a_record_are_sent_as_they_were_recorded,
                a_long_line_does_not_delay_another_record,
                a_line_of_hundreds_is_out_of_the_way_and_moves_up_in_its_order,
                a_line_of_hundreds_is_out_of_the_way_while_more_is_recorded,
                an_ordering_that_is_changed_holds_for_what_is_due,
                a_long_backlog_is_in_order_before_more_of_it_is_claimed,
                only_the_first_of_each_line_is_probed_with,
                a_retried_delivery_goes_before_later_ones_of_its_record,
            ],
            breakers: [
                flow_reads_back_as_written,
                a_trip_holds_all_that_is_due,
                a_suspended_webhook_gets_its_probe_alone,
                a_delivered_probe_sets_its_webhook_to_work,
                a_failed_probe_is_held_again,
                a_probe_that_fails_after_a_resume_is_due_again,
                only_what_is_held_is_released,
            ],
            replays: [
                a_replay_reads_back_and_moves_on_by_its_version,
                a_replay_that_waits_goes_on_once_its_webhook_sends_again,
                what_is_replayed_is_neither_test_nor_replay,
                a_page_of_a_replay_is_what_it_made,
                a_time_is_that_of_the_row_where_its_id_is_of_another,
                a_default_payload_is_replayed_as_it_was_frozen,
                a_replayed_delivery_is_held_with_its_webhook,
            ],
            stopping: [
                a_long_backlog_is_held_in_parts,
                webhooks_that_stop_have_their_turns,
                webhooks_that_had_their_turns_are_left_out,
                a_long_backlog_is_held_with_an_open_breaker_but_for_its_probe,
                a_long_backlog_is_cancelled_before_its_webhook_is_switched_on,
                what_ends_with_its_webhook_is_looked_at_once_more,
                a_long_backlog_is_cancelled_with_its_deleted_webhook,
                a_webhook_that_sends_again_stops_no_more,
            ],
            history: [
                delivery_pages_run_from_new_to_old,
                an_events_deliveries_are_those_of_its_fan_out_and_what_was_made_later,
                what_is_due_of_a_tenant_is_read_over_its_webhooks,
                event_pages_leave_tests_out,
                a_webhooks_attempts_come_newest_first,
                history_of_another_tenant_is_not_read,
            ],
            retention: [
                old_history_goes_with_all_that_belongs_to_it,
                what_is_owed_keeps_its_event_and_its_log_and_is_shown_after_its_end,
                a_deleted_webhook_goes_with_the_last_of_its_history,
                the_size_of_a_step_changes_nothing,
                what_is_held_for_too_long_expires_and_says_so,
                a_reader_of_the_feed_is_told_of_what_was_removed,
                ended_replays_copies_and_audit_entries_go_and_what_runs_stays,
            ],
            tenants: [
                a_tenant_reads_back_as_written,
                an_identifier_is_taken_once,
                a_deleted_tenant_leaves_nothing,
                a_copy_that_is_being_made_goes_with_its_source,
                a_copy_of_a_deleted_tenant_is_refused,
                a_revoked_token_opens_nothing,
                the_last_use_of_a_token_is_kept,
                the_audit_log_runs_from_new_to_old,
                running_copy_tasks_come_oldest_first,
            ],
        }
    };
}

/// The expansion of [`conformance_suite!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($run:path, $($module:ident: [$($case:ident,)*],)*) => {$(
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $run($crate::conformance::$module::$case).await;
                }
            )*
        }
    )*};
}
