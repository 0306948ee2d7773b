--- XGBoost's parameters: as texts for the library, and what is wrong with them.

local check = require "mlengine.check"
local json = require "mle.json"
local log = require "mlengine.log"
local raise = require("mlengine.error").raise

local M = {}

--- https://xgboost.readthedocs.io/en/release_3.2.0/parameter.html, for hints only: what the
--- library itself has no use for is what counts.
local names <const> = {
  "aft_loss_distribution", "aft_loss_distribution_scale", "alpha", "base_score", "booster",
  "colsample_bylevel", "colsample_bynode", "colsample_bytree", "device", "disable_default_eval_metric",
  "eta", "eval_metric", "gamma", "grow_policy", "huber_slope", "interaction_constraints", "lambda",
  "learning_rate", "max_bin", "max_cat_threshold", "max_cat_to_onehot", "max_delta_step", "max_depth",
  "max_leaves", "min_child_weight", "min_split_loss", "monotone_constraints", "multi_strategy",
  "feature_selector", "lambdarank_bias_norm", "lambdarank_normalization", "lambdarank_num_pair_per_sample",
  "lambdarank_pair_method", "lambdarank_score_normalization", "lambdarank_unbiased", "max_cached_hist_node", "ndcg_exp_gain",
  "refresh_leaf", "top_k", "normalize_type", "nthread", "num_class", "num_parallel_tree", "objective", "one_drop", "process_type",
  "quantile_alpha", "rate_drop", "refresh_leaf", "reg_alpha", "reg_lambda", "sample_type",
  "sampling_method", "scale_pos_weight", "seed", "seed_per_iteration", "skip_drop", "subsample",
  "tree_method", "tweedie_variance_power", "updater", "validate_parameters", "verbosity",
}

local objectives <const> = {
  "binary:hinge", "binary:logistic", "binary:logitraw", "count:poisson", "multi:softmax", "multi:softprob",
  "rank:map", "rank:ndcg", "rank:pairwise", "reg:absoluteerror", "reg:gamma", "reg:logistic",
  "reg:pseudohubererror", "reg:quantileerror", "reg:squarederror", "reg:squaredlogerror", "reg:tweedie",
  "survival:aft", "survival:cox",
}

--- Names from elsewhere: scikit-learn's, and options of xgboost.train.
local elsewhere <const> = {
  n_estimators = "the number of rounds is the option num_boost_round",
  num_boost_round = "it is an option of xgboost.train, beside params",
  early_stopping_rounds = "it is an option of xgboost.train, beside params",
  n_jobs = "threads are nthread",
  random_state = "the seed is seed",
  missing = "nulls and NaN are missing",
  enable_categorical = "columns of text are categories",
}

---The shortest decimal that reads back as the same number, so that logs show 0.3 as 0.3.
local function number_text(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  for digits = 15, 16 do
    local text = ("%%.%dg"):format(digits):format(value)
    if tonumber(text) == value then return text end
  end
  return ("%.17g"):format(value)
end

local function index_of(name, features, what)
  if math.type(name) == "integer" then return name end
  for i, feature in ipairs(features) do
    if feature == name then return i - 1 end
  end
  return raise("invalid", ("%s names '%s', which is no feature%s"):format(what, tostring(name), check.hint(tostring(name), features)))
end

---{ amount = 1, age = -1 } or { 1, 0, -1 } as "(1,0,-1)".
local function monotone_text(value, features)
  local list = {}
  if #value > 0 then
    for i, v in ipairs(value) do list[i] = number_text(v) end
  else
    for i = 1, #features do list[i] = "0" end
    for name, v in pairs(value) do list[index_of(name, features, "monotone_constraints") + 1] = number_text(v) end
  end
  return "(" .. table.concat(list, ",") .. ")"
end

---{ { "amount", "hour" }, { "age" } }, or indices from 0, as JSON of indices.
local function interaction_text(value, features)
  local groups = {}
  for i, group in ipairs(value) do
    check.type(group, "table", "an element of interaction_constraints")
    groups[i] = {}
    for j, name in ipairs(group) do groups[i][j] = index_of(name, features, "interaction_constraints") end
  end
  return json.encode(groups)
end

local function value_text(name, value, features)
  if type(value) == "number" then return number_text(value) end
  if type(value) == "boolean" then return value and "1" or "0" end
  if type(value) == "table" then
    if name == "monotone_constraints" then return monotone_text(value, features) end
    if name == "interaction_constraints" then return interaction_text(value, features) end
    return json.encode(json.array(value))
  end
  return check.type(value, "string", ("params.%s"):format(name))
end

---Parameters as a flat list { name, value, name, value, ... }; a list of metrics becomes several.
---@param params table<string, any>
---@param features string[]
---@return string[]
function M.texts(params, features)
  local sorted, list = {}, {}
  for name in pairs(params) do sorted[#sorted + 1] = check.type(name, "string", "the name of a parameter") end
  table.sort(sorted)
  for _, name in ipairs(sorted) do
    local value = params[name]
    local several = name == "eval_metric" and type(value) == "table"
    for _, one in ipairs(several and value or { value }) do
      list[#list + 1] = name
      list[#list + 1] = value_text(name, one, features)
    end
  end
  return list
end

---As run:log_params takes them: one text or number for each.
---@param params table<string, any>
---@param features string[]
---@return table<string, string|number|boolean>
function M.shown(params, features)
  local shown = {}
  for name, value in pairs(params) do
    shown[name] = type(value) == "table" and value_text(name, value, features) or value
  end
  return shown
end

local function explain(name)
  if elsewhere[name] then return "; " .. elsewhere[name] end
  return check.hint(name, names)
end

local function is_one_of(name, list)
  for _, known in ipairs(list) do
    if known == name then return true end
  end
  return false
end

---Refuses an objective that is none, before the library does without a hint.
---@param params table<string, any>
function M.check_objective(params)
  local objective = params.objective
  if objective == nil or objective == "reg:linear" or is_one_of(objective, objectives) then return end
  raise("invalid", ("XGBoost has no objective '%s'%s"):format(tostring(objective), check.hint(tostring(objective), objectives)))
end

---What the library has no use for: a wrong name is an error, a real one out of place a warning.
---@param unused string "a, b"
function M.judge(unused)
  for name in unused:gmatch "[^, ]+" do
    if not is_one_of(name, names) then
      raise("invalid", ("XGBoost has no parameter '%s'%s"):format(name, explain(name)))
    end
    log.warning("xgboost: the parameter '%s' has no effect together with the others", name)
  end
end

return M
