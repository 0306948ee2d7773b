#include "engine/serve/metrics.h"

static mle_status write_meters(mle_slot *slot, mle_family family, mle_buffer *out,
                               mle_error *err) {
  for (int i = 0; i < MLE_SLOT_METERS; i++)
    if (slot->meter[i].version[0] != '\0')
      MLE_TRY(mle_meter_write(&slot->meter[i], family, slot->endpoint, out, err));
  return MLE_OK;
}

static mle_status write_family(mle_api *api, mle_family family, mle_buffer *out, mle_error *err) {
  mle_slots *slots = api->slots;
  int count = atomic_load(&slots->count);
  MLE_TRY(mle_meter_head(family, out, err));
  pthread_mutex_lock(&slots->naming);
  mle_status status = MLE_OK;
  for (int i = 0; i < count && status == MLE_OK; i++)
    status = write_meters(&slots->slot[i], family, out, err);
  pthread_mutex_unlock(&slots->naming);
  if (status == MLE_OK) status = mle_meter_write(&api->elsewhere, family, "", out, err);
  return status;
}

static mle_status write_model(const mle_slot *slot, const mle_served *served, mle_buffer *out,
                              mle_error *err) {
  const mle_served_facts *f = &served->facts;
  const char *version = served->meter == NULL ? "" : served->meter->version;
  char run_id[65], snapshot_id[33]; /* what a model's folder says of itself may be anything */
  mle_label_text(f->run_id == NULL ? "" : f->run_id, run_id, sizeof run_id);
  mle_label_text(f->snapshot_id == NULL ? "" : f->snapshot_id, snapshot_id, sizeof snapshot_id);
  return mle_buffer_printf(out, err,
                           "mlengine_model_info{model=\"%s\",version=\"%s\",run_id=\"%s\","
                           "snapshot_id=\"%s\",deployment=\"%lld\"} 1\n",
                           slot->endpoint, version, run_id, snapshot_id, (long long)f->deployment);
}

static mle_status write_models(mle_slots *slots, mle_buffer *out, mle_error *err) {
  int count = atomic_load(&slots->count);
  MLE_TRY(mle_buffer_puts(out, "# HELP mlengine_model_info The model that answers now.\n"
                               "# TYPE mlengine_model_info gauge\n", err));
  for (int i = 0; i < count; i++) {
    mle_served *served = mle_cell_acquire(&slots->slot[i].current);
    mle_status status = MLE_OK;
    pthread_mutex_lock(&slots->naming);
    if (served != NULL) status = write_model(&slots->slot[i], served, out, err);
    pthread_mutex_unlock(&slots->naming);
    mle_served_release(served);
    MLE_TRY(status);
  }
  MLE_TRY(mle_buffer_puts(out, "# HELP mlengine_swaps_total Times another model became current.\n"
                               "# TYPE mlengine_swaps_total counter\n", err));
  for (int i = 0; i < count; i++)
    MLE_TRY(mle_buffer_printf(out, err, "mlengine_swaps_total{model=\"%s\"} %llu\n",
                              slots->slot[i].endpoint, atomic_load(&slots->slot[i].swaps)));
  return MLE_OK;
}

static mle_status write_trials(mle_slots *slots, mle_buffer *out, mle_error *err) {
  int count = atomic_load(&slots->count);
  MLE_TRY(mle_buffer_puts(out, "# HELP mlengine_canary_share Share of requests that go to the "
                               "staged model.\n# TYPE mlengine_canary_share gauge\n", err));
  for (int i = 0; i < count; i++)
    MLE_TRY(mle_buffer_printf(out, err, "mlengine_canary_share{model=\"%s\"} %g\n",
                              slots->slot[i].endpoint,
                              (double)atomic_load(&slots->slot[i].trial.share) / MLE_TRIAL_WHOLE));
  return MLE_OK;
}

static mle_status write_server(mle_api *api, mle_buffer *out, mle_error *err) {
  mle_http_server *http = atomic_load(&api->http);
  MLE_TRY(mle_buffer_printf(out, err,
                            "# HELP mlengine_models_in_memory Models alive, warm ones included.\n"
                            "# TYPE mlengine_models_in_memory gauge\n"
                            "mlengine_models_in_memory %ld\n", mle_served_live()));
  if (http == NULL) return MLE_OK;
  return mle_buffer_printf(
      out, err,
      "# HELP mlengine_requests_in_flight Requests that began and are not answered.\n"
      "# TYPE mlengine_requests_in_flight gauge\nmlengine_requests_in_flight %ld\n"
      "# HELP mlengine_connections Open connections.\n"
      "# TYPE mlengine_connections gauge\nmlengine_connections %ld\n"
      "# HELP mlengine_refused_total Requests that a limit of the server refused.\n"
      "# TYPE mlengine_refused_total counter\nmlengine_refused_total %llu\n",
      mle_http_server_in_flight(http), mle_http_server_connections(http),
      mle_http_server_refused(http));
}

mle_status mle_metrics_write(mle_api *api, mle_buffer *out, mle_error *err) {
  MLE_TRY(write_family(api, MLE_FAMILY_REQUESTS, out, err));
  MLE_TRY(write_family(api, MLE_FAMILY_DURATION, out, err));
  MLE_TRY(write_family(api, MLE_FAMILY_ROWS, out, err));
  MLE_TRY(write_models(api->slots, out, err));
  MLE_TRY(write_trials(api->slots, out, err));
  MLE_TRY(write_server(api, out, err));
  return mle_meter_process(out, err);
}
