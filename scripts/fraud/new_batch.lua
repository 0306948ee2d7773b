-- New Batch: appends one batch of card transactions to the Iceberg table bank.cc_trx.
--
-- The batch comes from a file, or is drawn at random: each run another one. Fraud
-- is likelier for large amounts, high card balances and far-away places, so that
-- there is something to learn.
local frame = require "mlengine.frame"
local iceberg = require "mlengine.iceberg"
local job = require "mlengine.job"

local params = job.params {
  rows = { 10000, "rows in the batch", min = 1 },
  file = { nil, "a CSV or Parquet file with the table's columns instead", type = "string" },
}

local function draw(rows)
  return frame.sql([[
    with draws as (
      select
        10 + 90 * random()          as age,
        100 + 29900 * random()      as credit_card_balance,
        0.01 + 100000 * random()    as bank_account_balance,
        0.01 + 1000000 * random()   as mortgage_balance,
        0.01 + 100000 * random()    as sec_bank_account_balance,
        0.01 + 500000 * random()    as savings_account_balance,
        0.01 + 500000 * random()    as sec_savings_account_balance,
        10000 + 490000 * random()   as total_est_nworth,
        0.01 + 5000 * random()      as primary_loan_balance,
        0.01 + 500000 * random()    as secondary_loan_balance,
        0.01 + 10000 * random()     as uni_loan_balance,
        -180 + 360 * random()       as longitude,
        -90 + 180 * random()        as latitude,
        0.01 + 30000 * random()     as transaction_amount,
        random()                    as chance
      from range(?)
    )
    select
      columns(* exclude (chance))::float,
      (chance < 1 / (1 + exp(
        7.5 - 6 * transaction_amount / 30000 - 3 * credit_card_balance / 30000
            + 3 * bank_account_balance / 100000 - 2 * (abs(latitude) > 60)::int
      )))::int as fraud_trx
    from draws]], { rows })
end

local batch = params.file and frame.read(params.file) or draw(params.rows)
local trx = iceberg.catalog():create_table_if_not_exists("bank.cc_trx", batch.schema)
local snapshot = trx:append(batch)
job.output { snapshot_id = snapshot.id, rows = snapshot.added_records }
